import type { PosixAttributes, StoreCalls } from '@stampede/client';
import { type Attributes, S_IFDIR, timestampOfMs } from './attributes.js';
import type { Clock } from './clock.js';
import type { DirectoryTimes } from './directory-times.js';
import type { Entries, Found } from './entries.js';
import type { FileState } from './file-state.js';
import type { OpenFiles } from './open-files.js';

const SETTLE_DELAY_MS = 20;

export interface AttributeChangesOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly entries: Entries;
  readonly files: OpenFiles;
  readonly clock: Clock;
  readonly times: DirectoryTimes;
  readonly rootAttributes: Partial<Attributes> | undefined;
}

type Existing = Exclude<Found, { readonly type: 'none' }>;

/** Changes what files and directories are, apart from their bytes. */
export class AttributeChanges {
  readonly #options: AttributeChangesOptions;
  /** A bucket's root has no key to keep attributes in. */
  #rootAttributes: Partial<Attributes>;

  constructor(options: AttributeChangesOptions) {
    this.#options = options;
    this.#rootAttributes = options.rootAttributes ?? {};
  }

  get rootAttributes(): Partial<Attributes> {
    return this.#rootAttributes;
  }

  /** Durable on return, unless the file is open with changes: then with them. */
  async apply(
    found: Existing,
    path: string,
    attributes: PosixAttributes,
    removedXattr?: string
  ): Promise<void> {
    if (found.type === 'directory') return this.#applyToDirectory(found, attributes, removedXattr);
    const { files, entries } = this.#options;
    const state = this.#stateOf(found);
    state.setAttributes(attributes, removedXattr);
    if (state.handleCount === 0 && !entries.isAlias(path)) await files.commit(state);
  }

  /** As `apply`; stored together with the changes that follow within a moment. */
  async applySoon(found: Existing, attributes: PosixAttributes): Promise<void> {
    if (found.type === 'directory') return this.#applyToDirectory(found, attributes);
    const state = this.#stateOf(found);
    const isClean = !state.isDirty;
    state.setAttributes(attributes);
    if (isClean && state.handleCount === 0) this.#options.files.settleSoon(state, SETTLE_DELAY_MS);
  }

  #stateOf(found: Exclude<Existing, { readonly type: 'directory' }>): FileState {
    const { files } = this.#options;
    return found.type === 'state'
      ? (files.findCurrent(found.state) ?? found.state)
      : files.acquire(found.head);
  }

  async #applyToDirectory(
    found: Extract<Found, { readonly type: 'directory' }>,
    attributes: PosixAttributes,
    removedXattr?: string
  ): Promise<void> {
    const { store, bucket, clock, entries, times } = this.#options;
    const { key } = found.target;
    if (attributes.mtime) times.forget(key);
    if (key === '') {
      this.#rootAttributes = { ...this.#rootAttributes, ...directoryAttributesOf(attributes) };
      return;
    }
    const head = await store.objects.setAttributes({
      bucket,
      key: `${key}/`,
      attributes: { ctime: timestampOfMs(clock.nowMs()), ...attributes },
      ...(removedXattr !== undefined && { removeXattrs: [removedXattr] }),
      create: true
    });
    entries.changed(key, { type: 'directory', head });
  }
}

function directoryAttributesOf({ mode, uid, gid, mtime, atime }: PosixAttributes): Partial<Attributes> {
  return {
    ...(mode !== undefined && { mode: S_IFDIR | (mode & 0o7777) }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mtime && { mtime }),
    ...(atime && { atime })
  };
}
