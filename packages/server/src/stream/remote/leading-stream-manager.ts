import { isStoreError, StoreError } from '../../api/index.js';
import type { MetaStore } from '../../coordination/index.js';
import type { Clock } from '../../platform/index.js';
import type { RoleConnection } from '../../rpc/index.js';
import { NodeDirectory } from '../node-directory.js';
import type { StreamManagerApi } from '../stream-manager-api.js';
import { STREAM_MANAGER_ELECTION } from '../stream-manager-leader.js';
import { remoteStreamManager } from './stream-manager-calls.js';

export interface LeadingStreamManagerOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  /** Candidates campaign under their addresses. */
  readonly connect: (address: string) => RoleConnection;
  /** For so long a call is tried; default: longer than any failover takes. */
  readonly patienceMs?: number | undefined;
}

/** For so long a call looks for who leads: a standby takes over within the lease of the one before. */
const FIND_MS_MAX = NodeDirectory.timeoutMs(1);
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 500;
/** After so long without an answer it is looked again who leads: one that was cut off says nothing. */
const DOUBT_MS = 1000;
const LOOK_DEADLINE_MS = 2000;

interface Leader {
  readonly address: string;
  readonly manager: StreamManagerApi;
}

interface Ask {
  readonly name: keyof StreamManagerApi;
  readonly message: unknown;
  /** In monotonic time. */
  readonly endMs: number;
}

type AnyCall = (message: unknown, options: { readonly signal: AbortSignal }) => Promise<unknown>;

/**
 * The stream manager that leads, wherever that is now. All its calls may be repeated, so each is, to the next leader, while
 * there is none that answers.
 */
export function leadingStreamManager(options: LeadingStreamManagerOptions): StreamManagerApi {
  const leading = new LeadingStreamManager(options);
  return new Proxy({} as StreamManagerApi, {
    get: (_target, name) => (message: unknown) => leading.call(name as keyof StreamManagerApi, message)
  });
}

class LeadingStreamManager {
  readonly #options: LeadingStreamManagerOptions;
  #known: Leader | undefined;

  constructor(options: LeadingStreamManagerOptions) {
    this.#options = options;
  }

  async call(name: keyof StreamManagerApi, message: unknown): Promise<unknown> {
    const { clock, patienceMs = FIND_MS_MAX } = this.#options;
    const endMs = clock.monotonicMs() + patienceMs;
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, 2 * pauseMs)) {
      let leader: Leader | undefined;
      try {
        leader = await this.#find(endMs - clock.monotonicMs());
        return await this.#ask(leader, { name, message, endMs });
      } catch (error) {
        if (!isStoreError(error, 'ServiceUnavailable', 'DeadlineExceeded')) throw error;
        if (this.#known === leader) this.#known = undefined;
        if (clock.monotonicMs() + pauseMs >= endMs) throw error;
      }
      await clock.sleep(pauseMs);
    }
  }

  async #find(deadlineMs: number): Promise<Leader> {
    if (this.#known) return this.#known;
    const address = await this.#look(deadlineMs).catch((cause: unknown) => {
      throw unknownLeader(cause);
    });
    if (address === undefined)
      throw new StoreError(
        'ServiceUnavailable',
        'No stream manager leads now. Start one if none runs, and try again.'
      );
    this.#known = { address, manager: remoteStreamManager(this.#options.connect(address)) };
    return this.#known;
  }

  async #look(deadlineMs: number): Promise<string | undefined> {
    const leader = await this.#options.meta.findLeader(STREAM_MANAGER_ELECTION, { deadlineMs });
    return leader?.candidate;
  }

  /** Gives a leader up that does not answer when another one leads. */
  async #ask({ address, manager }: Leader, { name, message, endMs }: Ask): Promise<unknown> {
    const { clock } = this.#options;
    const replaced = new AbortController();
    const end = clock.setTimer(Math.max(0, endMs - clock.monotonicMs()), () => replaced.abort());
    const doubt = (): Disposable =>
      clock.setTimer(DOUBT_MS, () => {
        this.#look(LOOK_DEADLINE_MS)
          .then((other) => {
            if (other !== undefined && other !== address) replaced.abort();
          })
          .catch(() => undefined)
          .finally(() => {
            if (!isDone && !replaced.signal.aborted) timer = doubt();
          });
      });
    let isDone = false;
    let timer = doubt();
    try {
      return await (manager[name] as AnyCall)(message, { signal: replaced.signal });
    } catch (error) {
      if (!replaced.signal.aborted) throw error;
      const advice = 'Ask the one that leads now, or look at that process.';
      throw new StoreError(
        'ServiceUnavailable',
        `The stream manager at ${address} does not answer. ${advice}`
      );
    } finally {
      isDone = true;
      timer[Symbol.dispose]();
      end[Symbol.dispose]();
    }
  }
}

/** Refusals stay what they are: trying again is in vain. */
function unknownLeader(cause: unknown): unknown {
  if (!isStoreError(cause, 'ServiceUnavailable', 'DeadlineExceeded')) return cause;
  const message = `Nobody knows which stream manager leads: ${cause.message}`;
  return new StoreError('ServiceUnavailable', message, { cause });
}
