import { constants } from 'node:os';
import { OPCODE } from './fuse-constants.js';
import type { Replies } from './replies.js';

/**
 * How long a request is left alone although its program got a signal: answering at once would fail system calls of
 * programs that send themselves signals all the time, for requests that take a moment only.
 */
const PATIENCE_MS = 1000;

/** Requests without an effect, so that to end them early is to say nothing wrong. */
const INTERRUPTIBLE: ReadonlySet<number> = new Set([
  OPCODE.FUSE_LOOKUP,
  OPCODE.FUSE_GETATTR,
  OPCODE.FUSE_READLINK,
  OPCODE.FUSE_OPEN,
  OPCODE.FUSE_READ,
  OPCODE.FUSE_STATFS,
  OPCODE.FUSE_GETXATTR,
  OPCODE.FUSE_LISTXATTR,
  OPCODE.FUSE_READDIR,
  OPCODE.FUSE_READDIRPLUS
]);

/** Lets programs end that wait for a store which does not answer. */
export class Interrupts {
  readonly #replies: Replies;
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(replies: Replies) {
    this.#replies = replies;
  }

  interrupted(unique: number): void {
    const opcode = this.#replies.pendingOpcode(unique);
    if (opcode === undefined || !INTERRUPTIBLE.has(opcode) || this.#timers.has(unique)) return;
    const timer = setTimeout(() => {
      this.#timers.delete(unique);
      this.#replies.fail(unique, constants.errno.EINTR);
    }, PATIENCE_MS);
    this.#timers.set(unique, timer.unref());
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
