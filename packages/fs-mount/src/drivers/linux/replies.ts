import type { Attributes } from '../../attributes.js';
import type { Addon, Channel } from './addon.js';
import { NO_TIME, type OpenAnswer, REPLY, ReplyWriter, type Validity } from './fuse-replies.js';
import type { Node } from './node-table.js';
import type { RequestMonitor, Started } from './request-monitor.js';

/** Where the body of an answer begins in the head buffer. */
export const BODY = REPLY.fuse_out_header.bytes;

/** Room for the largest answer that is built and not passed through: a page of a listing. */
export const HEAD_BYTES = 64 * 1024 + BODY;

/** What the kernel is told of a file or directory, and for how long it may believe it. */
export interface Told {
  readonly node: Node;
  readonly attributes: Attributes;
  readonly validity: Validity;
}

/**
 * Answers requests, each once. An answer is built in one buffer and sent before anything else runs, so that there need
 * not be two. What was answered early, because its program was interrupted, is not answered again: `send` and those
 * built on it return false, and what the kernel was to be given must be taken back.
 */
export class Replies {
  readonly writer: ReplyWriter;
  readonly #addon: Addon;
  readonly #monitor: RequestMonitor;
  /** The requests that wait. */
  readonly #pending = new Map<number, Started>();
  #channel: Channel | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(addon: Addon, head: Buffer, monitor: RequestMonitor) {
    this.#addon = addon;
    this.#monitor = monitor;
    this.writer = new ReplyWriter(head);
  }

  set channel(channel: Channel | undefined) {
    this.#channel = channel;
  }

  pendingOpcode(unique: number): number | undefined {
    return this.#pending.get(unique)?.opcode;
  }

  begin(unique: number, started: Started): void {
    this.#pending.set(unique, started);
  }

  /** Sends what was written behind the header, and the pieces behind that. */
  send(unique: number, bodyBytes: number, pieces?: readonly Uint8Array[]): boolean {
    let length = BODY + bodyBytes;
    if (pieces) for (const piece of pieces) length += piece.byteLength;
    return this.#write(unique, { headBytes: BODY + bodyBytes, length, error: 0 }, pieces);
  }

  done(unique: number): boolean {
    return this.#write(unique, { headBytes: BODY, length: BODY, error: 0 });
  }

  fail(unique: number, errno: number): boolean {
    return this.#write(unique, { headBytes: BODY, length: BODY, error: -errno });
  }

  entry(unique: number, { node, attributes, validity }: Told): boolean {
    this.writer.entry(BODY, { nodeId: node.id, ino: node.ino, attributes, validity });
    return this.send(unique, REPLY.fuse_entry_out.bytes);
  }

  noEntry(unique: number, validity: Validity): boolean {
    const started = this.#pending.get(unique);
    if (started) started.isNoEntry = true;
    this.writer.noEntry(BODY, validity);
    return this.send(unique, REPLY.fuse_entry_out.bytes);
  }

  attributes(unique: number, { node, attributes, validity }: Told): boolean {
    // What is changed by the name's own node the kernel does not see in this one.
    this.writer.attrOut(BODY, {
      ino: node.ino,
      attributes,
      validity: node.successor || node.isLent ? NO_TIME : validity
    });
    return this.send(unique, REPLY.fuse_attr_out.bytes);
  }

  opened(unique: number, answer: OpenAnswer): boolean {
    this.writer.openOut(BODY, answer);
    return this.send(unique, REPLY.fuse_open_out.bytes);
  }

  created(unique: number, { node, attributes, validity }: Told, answer: OpenAnswer): boolean {
    this.writer.entry(BODY, { nodeId: node.id, ino: node.ino, attributes, validity });
    this.writer.openOut(BODY + REPLY.fuse_entry_out.bytes, answer);
    return this.send(unique, REPLY.fuse_entry_out.bytes + REPLY.fuse_open_out.bytes);
  }

  /** Gives back the buffer that a request kept. */
  release(slotIndex: number): void {
    if (this.#channel) this.#addon.release(this.#channel, slotIndex);
  }

  /** Resolves when every request has been answered. */
  async idle(): Promise<void> {
    if (this.#pending.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  #write(
    unique: number,
    { headBytes, length, error }: { headBytes: number; length: number; error: number },
    pieces?: readonly Uint8Array[]
  ): boolean {
    const started = this.#ended(unique);
    if (!started || !this.#channel) return false;
    this.#monitor.ended(started, -error, length - BODY);
    this.writer.header(0, { length, error, unique });
    const result = pieces
      ? this.#addon.reply(this.#channel, headBytes, pieces)
      : this.#addon.reply(this.#channel, headBytes);
    // ENOENT: the program was killed meanwhile. ENODEV: the mount is gone.
    return result === 0;
  }

  #ended(unique: number): Started | undefined {
    const started = this.#pending.get(unique);
    this.#pending.delete(unique);
    if (this.#pending.size === 0) this.#whenIdle?.();
    return started;
  }
}
