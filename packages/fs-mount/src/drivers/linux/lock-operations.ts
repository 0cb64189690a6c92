import type { LockMode } from '@stampede/client';
import { FileSystemError } from '../../errno.js';
import type { LockRequest } from '../../locks/index.js';
import { LOCK_TYPE, OPCODE, REQUEST_FLAG } from './fuse-constants.js';
import { REPLY } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import { BODY } from './replies.js';
import type { Handlers, SessionContext } from './session-context.js';

const LAYOUT = REQUEST.fuse_lk_in;

const WORD = 2 ** 32;

type LockContext = Pick<SessionContext, 'replies' | 'handles'>;

/** Requests for locks, which come here only where the store keeps them. */
export class LockOperations {
  readonly #context: LockContext;
  /** Requests that may wait for ever. */
  readonly #waiting = new Map<number, AbortController>();

  constructor(context: LockContext) {
    this.#context = context;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_GETLK]: (request) => this.#find(request),
      [OPCODE.FUSE_SETLK]: (request) => this.#set(request, false),
      [OPCODE.FUSE_SETLKW]: (request) => this.#set(request, true)
    };
  }

  /** The program got a signal: true when it waited for a lock, which ends at once. */
  interrupted(unique: number): boolean {
    const waiting = this.#waiting.get(unique);
    waiting?.abort();
    return waiting !== undefined;
  }

  /** Nobody waits any more. */
  close(): void {
    for (const waiting of this.#waiting.values()) waiting.abort();
  }

  async #set(request: Request, wait: boolean): Promise<void> {
    const { replies, handles } = this.#context;
    const { unique } = request;
    const { handle } = handles.file(request.u64(LAYOUT.fh));
    const mode = modeOf(request.u32(LAYOUT['lk.type']));
    const lock = lockOf(request, mode ?? 'shared');
    handle.assertKept();
    await this.#interruptible(unique, async (signal) => {
      if (mode) await handle.locks?.acquire(handle.state, lock, { wait, signal });
      else await handle.locks?.release(handle.state, lock);
    });
    replies.done(unique);
  }

  async #interruptible<Result>(
    unique: number,
    run: (signal: AbortSignal) => Promise<Result>
  ): Promise<Result> {
    const waiting = new AbortController();
    this.#waiting.set(unique, waiting);
    try {
      return await run(waiting.signal);
    } finally {
      this.#waiting.delete(unique);
    }
  }

  async #find(request: Request): Promise<void> {
    const { replies, handles } = this.#context;
    const { unique } = request;
    const { handle } = handles.file(request.u64(LAYOUT.fh));
    const lock = lockOf(request, modeOf(request.u32(LAYOUT['lk.type'])) ?? 'shared');
    const found = await this.#interruptible(unique, async (signal) =>
      handle.locks?.find(handle.state, lock, signal)
    );
    const { writer } = replies;
    const layout = REPLY.fuse_lk_out;
    writer.zeros(BODY, layout.bytes);
    writer.u32(BODY + layout['lk.type'], LOCK_TYPE.F_UNLCK);
    if (found) {
      writer.u64(BODY + layout['lk.start'], found.start);
      this.#writeEnd(BODY + layout['lk.end'], found.end);
      writer.u32(BODY + layout['lk.type'], found.mode === 'shared' ? LOCK_TYPE.F_RDLCK : LOCK_TYPE.F_WRLCK);
      // A process of another machine has no number here.
      writer.u32(BODY + layout['lk.pid'], found.isOwnSession ? found.pid : 0);
    }
    replies.send(unique, layout.bytes);
  }

  /** Inclusive, to the kernel. */
  #writeEnd(at: number, end: number | undefined): void {
    const { writer } = this.#context.replies;
    writer.u32(at, WORD - 1);
    writer.u32(at + 4, WORD / 2 - 1);
    if (end !== undefined) writer.u64(at, end - 1);
  }
}

/** As the kernel names an owner: 64 bits, more than a number holds. */
export function ownerOf(request: Request, offset: number): string {
  return `${request.u32(offset + 4).toString(16)}-${request.u32(offset).toString(16)}`;
}

function modeOf(type: number): LockMode | undefined {
  if (type === LOCK_TYPE.F_UNLCK) return undefined;
  return type === LOCK_TYPE.F_RDLCK ? 'shared' : 'exclusive';
}

function lockOf(request: Request, mode: LockMode): LockRequest {
  const isFlock = (request.u32(LAYOUT.lk_flags) & REQUEST_FLAG.FUSE_LK_FLOCK) !== 0;
  const start = request.u64(LAYOUT['lk.start']);
  if (start >= Number.MAX_SAFE_INTEGER)
    throw new FileSystemError('EOVERFLOW', `no file has a byte at ${start}`);
  // What is not exact lies behind the end of every file.
  const end = request.u64(LAYOUT['lk.end']) + 1;
  const isEndless = isFlock || end >= Number.MAX_SAFE_INTEGER;
  return {
    owner: ownerOf(request, LAYOUT.owner),
    space: isFlock ? 'flock' : 'range',
    start: isFlock ? 0 : start,
    end: isEndless ? Number.POSITIVE_INFINITY : end,
    mode,
    pid: request.u32(LAYOUT['lk.pid']),
    handle: request.u64(LAYOUT.fh)
  };
}
