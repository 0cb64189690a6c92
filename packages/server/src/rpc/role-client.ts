import type { Socket } from 'node:net';
import { FRAME_KIND, type Frame, isErrorCode, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { FramePeer } from './frame-peer.js';
import type { RoleCallOptions, RoleConnectionOptions } from './role-network.js';

const ID_MAX = 0xffffffff;
const NOTHING = new Uint8Array(0);

interface Waiting {
  answered(payload: unknown): void;
  failed(error: StoreError): void;
  /** Only of subscriptions. */
  stopped?(): void;
}

/** The calling end of one connection. It never comes back after it has ended. */
export class RoleClient {
  readonly #peer: FramePeer;
  readonly #clock: Clock;
  readonly #calls = new Map<number, Waiting>();
  #lastId = 0;
  /** For answers that nobody waits for. */
  #discarded: Uint8Array = NOTHING;
  #endReason: StoreError | undefined;

  constructor(socket: Socket, clock: Clock) {
    this.#clock = clock;
    this.#peer = new FramePeer({
      socket,
      clock,
      allocate: ({ id }, length) => this.#allocate(id, length),
      frame: (frame) => this.#take(frame),
      onEnd: (reason) => this.#end(reason)
    });
    this.#peer.start();
  }

  get isEnded(): boolean {
    return this.#endReason !== undefined;
  }

  call(path: string, payload: unknown, options: RoleConnectionOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { signal, deadlineMs } = options;
      if (signal?.aborted) throw cancelledError(path, signal.reason);
      let isBorrowed = false;
      const id = this.#nextId();
      const finish = (): boolean => {
        timer[Symbol.dispose]();
        signal?.removeEventListener('abort', cancel);
        return this.#calls.delete(id);
      };
      const giveUp = (error: StoreError): void => {
        if (!finish()) return;
        reject(error);
        // Its bytes are only lent: what has not left by now must not leave any more.
        if (isBorrowed) this.#peer.end(error);
        else this.#send({ kind: FRAME_KIND.cancel, id });
      };
      const cancel = (): void => giveUp(cancelledError(path, signal?.reason));
      const timer = this.#clock.setTimer(deadlineMs, () => giveUp(tooSlow(path, deadlineMs)));
      this.#calls.set(id, {
        answered: (answer) => finish() && resolve(answer),
        failed: (error) => {
          finish();
          reject(error);
        }
      });
      signal?.addEventListener('abort', cancel, { once: true });
      try {
        isBorrowed = this.#peer.send({ kind: FRAME_KIND.mutation, id, path, payload, deadlineMs }, () => {
          isBorrowed = false;
        });
      } catch (error) {
        finish();
        reject(error);
      }
    });
  }

  async *subscribe(path: string, payload: unknown, { signal }: RoleCallOptions): AsyncIterable<unknown> {
    const id = this.#nextId();
    const queue: unknown[] = [];
    let ended: { readonly error?: StoreError } | undefined;
    let wake: (() => void) | undefined;
    const end = (how: { readonly error?: StoreError }): void => {
      ended ??= how;
      this.#calls.delete(id);
      wake?.();
    };
    this.#calls.set(id, {
      answered(event) {
        queue.push(event);
        wake?.();
      },
      failed: (error) => end({ error }),
      stopped: () => end({})
    });
    const aborted = (): void => end({});
    signal.addEventListener('abort', aborted, { once: true });
    try {
      if (signal.aborted) return;
      this.#peer.send({ kind: FRAME_KIND.subscribe, id, path, payload });
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) {
          this.#send({ kind: FRAME_KIND.credit, id, payload: 1 });
          yield (event as { readonly data: unknown }).data;
          continue;
        }
        if (ended) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (ended?.error && !signal.aborted) throw ended.error;
    } finally {
      signal.removeEventListener('abort', aborted);
      if (this.#calls.delete(id) || !ended?.error) this.#send({ kind: FRAME_KIND.cancel, id });
    }
  }

  end(reason: StoreError): void {
    this.#peer.end(reason);
  }

  #send(frame: Frame): void {
    if (!this.isEnded) this.#peer.send(frame);
  }

  #nextId(): number {
    if (this.#endReason) throw this.#endReason;
    do this.#lastId = this.#lastId === ID_MAX ? 1 : this.#lastId + 1;
    while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  #allocate(id: number, length: number): Uint8Array {
    if (length === 0) return NOTHING;
    if (this.#calls.has(id)) return Buffer.allocUnsafeSlow(length);
    if (this.#discarded.length < length) this.#discarded = Buffer.allocUnsafeSlow(length);
    return this.#discarded;
  }

  #take({ kind, id, payload }: Frame): void {
    const call = this.#calls.get(id);
    // A call that was given up may still be answered.
    if (!call) return;
    if (kind === FRAME_KIND.data) call.answered(payload);
    else if (kind === FRAME_KIND.error) call.failed(errorOf(payload));
    else if (kind === FRAME_KIND.stopped) call.stopped?.();
  }

  #end(reason: StoreError): void {
    this.#endReason = reason;
    for (const call of [...this.#calls.values()]) call.failed(reason);
    this.#calls.clear();
  }
}

function errorOf(payload: unknown): StoreError {
  const { code, message, retryAfterMs } = (payload ?? {}) as Record<string, unknown>;
  return new StoreError(
    isErrorCode(code) ? code : 'InternalError',
    typeof message === 'string' ? message : 'The other side gave no reason.',
    typeof retryAfterMs === 'number' ? { retryAfterMs } : {}
  );
}

function tooSlow(path: string, deadlineMs: number): StoreError {
  return new StoreError('DeadlineExceeded', `${path} was not answered within ${deadlineMs} ms. Try again.`);
}

function cancelledError(path: string, cause: unknown): StoreError {
  return new StoreError('Cancelled', `${path} was given up by its caller.`, { cause });
}
