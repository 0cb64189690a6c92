import {
  isStoreError,
  LIMITS,
  type PartitionId,
  type StampStatus,
  StoreError,
  type WatchEvent,
  type WatchInput
} from '../../api/index.js';
import { type MemberDirectory, type MetaStore, WatchedRange } from '../../coordination/index.js';
import type { Clock, Random } from '../../platform/index.js';
import type { RoleConnection } from '../../rpc/index.js';
import { callsBy } from '../partition-calls.js';
import type { PartitionLayer } from '../partition-layer.js';
import { decodeRange, type OwnedRange, PARTITION_MAP_PREFIX } from '../partition-map.js';
import { PARTITION, partitionMessage } from './partition-server-calls.js';

export interface RemotePartitionLayerOptions {
  readonly meta: MetaStore;
  readonly members: MemberDirectory;
  /** `undefined` while a member cannot be found. */
  readonly connect: (address: string) => RoleConnection;
  readonly clock: Clock;
  readonly random: Random;
}

export interface RemotePartitionLayer extends PartitionLayer {
  /** Whether the owner of every range was known at the last look. */
  readonly isServing: boolean;
  /** The ranges that answer, and what is wrong with the others. */
  survey(): Promise<PartitionSurvey>;
}

export interface PartitionSurvey {
  readonly partitions: StampStatus['partitions'];
  /** One for each range that is served by nobody, as a sentence or two. */
  readonly problems: readonly string[];
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs?: number | undefined;
}

const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 500;
/** Of no life of a partition: the answer to it is `reset`. */
const TOKEN_BEFORE_ALL = '0';
const STATUS_DEADLINE_MS = 5000;
/** May be had again from the next owner, or the same one a little later. With a request id no change is made twice. */
const RETRIABLE = ['WrongPartition', 'ServiceUnavailable', 'ReplicaUnavailable', 'StaleEpoch'] as const;

/**
 * The partition layer as front ends in other processes see it: each call goes to the server that the map names, and again
 * to the next one when that has changed, within the call's deadline.
 */
export async function openRemotePartitionLayer(
  options: RemotePartitionLayerOptions
): Promise<RemotePartitionLayer> {
  const { meta, clock } = options;
  const map = await WatchedRange.open({ meta, clock, prefix: PARTITION_MAP_PREFIX });
  const router = new PartitionRouter(options, map);
  const calls = callsBy(
    (group, name) => async (input, callOptions) =>
      await router.call(`${PARTITION}.${group}.${name}`, input as object | undefined, callOptions),
    (input, { signal }) => router.watch(input, signal)
  );
  return {
    ...calls,
    partitions: () => router.statuses(),
    survey: () => router.survey(),
    get isServing() {
      return router.isServing;
    },
    close: () => router.close()
  };
}

class PartitionRouter {
  readonly #options: RemotePartitionLayerOptions;
  readonly #map: WatchedRange;
  readonly #closing = new AbortController();

  constructor(options: RemotePartitionLayerOptions, map: WatchedRange) {
    this.#options = options;
    this.#map = map;
  }

  get isServing(): boolean {
    const ranges = this.#ranges();
    return ranges.length > 0 && ranges.every(({ owner }) => this.#options.members.find(owner));
  }

  async call(path: string, given: object | undefined, options: CallOptions = {}): Promise<unknown> {
    const { clock, random } = this.#options;
    const endMs = clock.monotonicMs() + (options.deadlineMs ?? LIMITS.callDeadlineMsDefault);
    // So that a call whose answer got lost can be made again.
    const input: { readonly [name: string]: unknown } = { requestId: random.uuid(), ...given };
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
      try {
        return await this.#attempt(path, input, endMs, options.signal);
      } catch (error) {
        if (!isStoreError(error, ...RETRIABLE) || this.#closing.signal.aborted) throw error;
        options.signal?.throwIfAborted();
        const leftMs = endMs - clock.monotonicMs();
        if (leftMs <= pauseMs) throw asUnavailable(error);
        await this.#map.changed(pauseMs, options.signal);
      }
    }
  }

  async *watch(input: WatchInput, signal: AbortSignal): AsyncIterable<WatchEvent> {
    let { resumeToken } = input;
    let pauseMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      try {
        for await (const event of this.#watchOwner({ ...input, resumeToken }, signal)) {
          ({ resumeToken } = event);
          pauseMs = RETRY_MS_MIN;
          yield event;
        }
      } catch (error) {
        if (!isStoreError(error, ...RETRIABLE) || this.#closing.signal.aborted) throw error;
      }
      // What happened meanwhile is told, or there is a reset: "from now" would skip it.
      resumeToken ??= TOKEN_BEFORE_ALL;
      await this.#map.changed(pauseMs, signal);
      pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
    }
  }

  /** Until the range has another owner, which a former one that hangs does not tell. */
  async *#watchOwner(input: WatchInput, signal: AbortSignal): AsyncIterable<WatchEvent> {
    const range = this.#findRange(input);
    const connection = this.#connect(range);
    const moved = new AbortController();
    const watching = this.#untilMoved(range, moved);
    try {
      const message = partitionMessage(range.partitionId, input);
      yield* connection.subscribe(`${PARTITION}.objects.watch`, message, {
        signal: AbortSignal.any([signal, moved.signal])
      }) as AsyncIterable<WatchEvent>;
    } finally {
      watching[Symbol.dispose]();
    }
  }

  async statuses(): Promise<StampStatus['partitions']> {
    return await Promise.all(this.#ranges().map((range) => this.#status(range)));
  }

  async survey(): Promise<PartitionSurvey> {
    const ranges = this.#ranges();
    if (ranges.length === 0)
      return { partitions: [], problems: ['No range partition was ever loaded. Start a partition server.'] };
    const answers = await Promise.allSettled(ranges.map(async (range) => await this.#status(range)));
    const partitions: StampStatus['partitions'][number][] = [];
    const problems: string[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') partitions.push(answer.value);
      else problems.push(this.#problemOf(ranges[index]!, answer.reason));
    }
    return { partitions, problems };
  }

  #problemOf({ partitionId, owner }: OwnedRange, reason: unknown): string {
    if (this.#options.members.all('partitionServer').length === 0)
      return `Nobody serves ${partitionId}, as no partition server is there. Start one.`;
    if (isStoreError(reason, 'WrongPartition'))
      return `${owner} is to serve ${partitionId} and does not: its log says why, or it cannot reach etcd.`;
    const why = reason instanceof Error ? reason.message : String(reason);
    return `Nobody serves ${partitionId} now; the last that did, or is to, is ${owner}: ${why}`;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#map.close();
  }

  async #status(range: OwnedRange): Promise<StampStatus['partitions'][number]> {
    const message = partitionMessage(range.partitionId, undefined);
    const answer = await this.#connect(range).call(`${PARTITION}.admin.status`, message, {
      deadlineMs: STATUS_DEADLINE_MS
    });
    return answer as StampStatus['partitions'][number];
  }

  async #attempt(
    path: string,
    input: object,
    endMs: number,
    signal: AbortSignal | undefined
  ): Promise<unknown> {
    const range = this.#findRange(input);
    const connection = this.#connect(range);
    const moved = new AbortController();
    const watching = this.#untilMoved(range, moved);
    try {
      const deadlineMs = Math.max(1, endMs - this.#options.clock.monotonicMs());
      const either = signal ? AbortSignal.any([signal, moved.signal]) : moved.signal;
      return await connection.call(path, partitionMessage(range.partitionId, input), {
        deadlineMs,
        signal: either
      });
    } catch (error) {
      if (isStoreError(error, 'Cancelled') && moved.signal.aborted && !signal?.aborted)
        throw wrongPartition(range.partitionId);
      throw error;
    } finally {
      watching[Symbol.dispose]();
    }
  }

  /** An owner that hangs does not answer: once another one is named it is not waited for. */
  #untilMoved(range: OwnedRange, moved: AbortController): Disposable {
    return this.#map.onChange(() => {
      const entry = this.#map.find(PARTITION_MAP_PREFIX + range.partitionId);
      if (!entry || decodeRange(entry).owner !== range.owner) moved.abort(wrongPartition(range.partitionId));
    });
  }

  #connect({ owner, partitionId }: OwnedRange): RoleConnection {
    const member = this.#options.members.find(owner);
    if (member) return this.#options.connect(member.address);
    throw new StoreError('ServiceUnavailable', `The owner of ${partitionId} cannot be reached. Try again.`);
  }

  /** @throws StoreError `ServiceUnavailable` while the map has no range for it. */
  #findRange(input: object): OwnedRange {
    const { bucket = '', key = '', prefix = '', path = '' } = input as Readonly<Record<string, string>>;
    const place = `${bucket}\0${key || prefix || path}`;
    const found = this.#ranges().find(
      ({ startKey, endKey }) => startKey <= place && (endKey === '' || place < endKey)
    );
    if (found) return found;
    throw new StoreError('ServiceUnavailable', 'No server has the keys of the call yet. Try again.');
  }

  #ranges(): readonly OwnedRange[] {
    return [...this.#map.entries()].map((entry) => decodeRange(entry));
  }
}

function wrongPartition(partitionId: PartitionId): StoreError {
  return new StoreError('WrongPartition', `${partitionId} has another owner now. Ask that one.`);
}

function asUnavailable(cause: StoreError): StoreError {
  return new StoreError('ServiceUnavailable', 'The keys of the call have no owner that answers. Try again.', {
    cause
  });
}
