import type { ObjectHead, PosixAttributes } from '@stampede/client';
import {
  type AttributeDefaults,
  type Attributes,
  attributesOfFile,
  type FileSpace,
  timestampOfMs
} from './attributes.js';
import type { Clock } from './clock.js';
import type { LayerStack } from './layer-stack.js';
import { withChanges } from './with-changes.js';

/** What one file is besides its bytes: as stored, with the changes of its layers laid over. */
export class FileAttributes {
  readonly #layers: LayerStack;
  readonly #clock: Clock;
  #posix: PosixAttributes;
  #modifiedAtMs: number;

  constructor(layers: LayerStack, clock: Clock, origin: ObjectHead | PosixAttributes) {
    this.#layers = layers;
    this.#clock = clock;
    if (isHead(origin)) {
      this.#posix = origin.attributes;
      this.#modifiedAtMs = origin.modifiedAtMs;
    } else {
      this.#modifiedAtMs = clock.nowMs();
      const now = timestampOfMs(this.#modifiedAtMs);
      this.#posix = { ...origin, mtime: now, atime: now, ctime: now };
    }
  }

  get posix(): PosixAttributes {
    return this.#posix;
  }

  of(space: FileSpace, defaults: AttributeDefaults): Attributes {
    return attributesOfFile(this.#posix, space, this.#modifiedAtMs, defaults);
  }

  /** The file goes on with another stored version. */
  rebase(head: ObjectHead): void {
    this.#modifiedAtMs = head.modifiedAtMs;
    this.#posix = this.#layers.attributesOver(head);
  }

  /** Bytes changed just now. */
  touch(): void {
    this.#modifiedAtMs = this.#clock.nowMs();
    const now = timestampOfMs(this.#modifiedAtMs);
    this.#merge({ mtime: now, ctime: now });
  }

  change(attributes: PosixAttributes, removedXattr?: string): void {
    this.#merge({ ctime: timestampOfMs(this.#clock.nowMs()), ...attributes }, removedXattr);
  }

  #merge(attributes: PosixAttributes, removedXattr?: string): void {
    const layer = this.#layers.active;
    const removed = new Set(removedXattr === undefined ? [] : [removedXattr]);
    this.#posix = withChanges(this.#posix, attributes, removed);
    layer.attributes = withChanges(layer.attributes, attributes, removed);
    for (const name of Object.keys(attributes.xattrs ?? {})) layer.removedXattrs.delete(name);
    for (const name of removed) layer.removedXattrs.add(name);
  }
}

export function isHead(origin: ObjectHead | PosixAttributes): origin is ObjectHead {
  return 'etag' in origin;
}
