import type { PartitionLayer } from '../../partition/index.js';
import type { Random } from '../../platform/index.js';
import type { Load } from './fault.js';
import type { Life } from './life.js';
import { LinearizabilityMonitor, type OpenCall } from './linearizability-monitor.js';
import { makeCall } from './store-caller.js';
import { isRead, type ModelCall } from './store-model.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

export interface WorkloadOptions {
  readonly world: World;
  readonly life: Life;
  /** Of each front end; callers are spread over them. */
  readonly layers: readonly PartitionLayer[];
  readonly load: Load;
}

export interface WorkloadCounts {
  calls: number;
  answers: number;
  unknowns: number;
  retries: number;
}

export const BUCKET = 'simulated';
const DEADLINE_MS_MIN = 1000;
const DEADLINE_MS_MAX = 20_000;
/** Of a group: beyond them a call is repeated until it is answered, so that the others can be judged. */
const GIVEN_UP_MAX = 4;
const POSSIBILITIES_MAX = 100;
const RETRY_MS = 200;
const SIZES = [0, 1, 50, 300, 300, 2000, 2000, 9000, 30_000, 70_000];
const NAMES = ['a', 'b', 'c', 'd/x', 'd/y', 'e/x'];
const REWRITE_PART = 0.8;
const LARGE_BYTES = 4 * 1024 * 1024 + 5000;

interface Group {
  readonly prefix: string;
  readonly keys: readonly string[];
  readonly monitor: LinearizabilityMonitor;
}

interface Making {
  readonly random: Random;
  /** Of the caller. */
  readonly number: number;
  /** It is made again until it is answered. */
  readonly mustAnswer: boolean;
}

/** Callers who make one call after the other, all those of a group on the same few keys. */
export class Workload {
  readonly counts: WorkloadCounts = { calls: 0, answers: 0, unknowns: 0, retries: 0 };
  readonly #options: WorkloadOptions;
  readonly #groups: readonly Group[];
  #isStopping = false;
  #working: Promise<unknown> = Promise.resolve();
  #token = 1;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    const { groupCount, keysPerGroup } = options.load;
    this.#groups = Array.from({ length: groupCount }, (_, number) => {
      const prefix = `g${number}/`;
      const more = Array.from({ length: keysPerGroup - NAMES.length }, (_, index) => `k${index}`);
      const keys = [...NAMES, ...more].map((name) => prefix + name);
      return { prefix, keys, monitor: new LinearizabilityMonitor() };
    });
  }

  start(): void {
    const { callersPerGroup } = this.#options.load;
    const callers = this.#groups.flatMap((group) =>
      Array.from({ length: callersPerGroup }, (_, number) => this.#work(group, number))
    );
    this.#working = Promise.all(callers);
  }

  /** Resolves when no call is under way any more. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#working;
  }

  /** Reads everything; each answer is judged like those of the callers. */
  async readAll(): Promise<void> {
    const random = this.#options.world.random('read all');
    const how = { random, number: 0, mustAnswer: true };
    for (const group of this.#groups) {
      await this.#make(group, { type: 'list', prefix: group.prefix }, how);
      for (const key of group.keys) await this.#make(group, { type: 'read', key }, how);
    }
  }

  /** Changes every group once, however long it takes. */
  async writeAll(): Promise<void> {
    const random = this.#options.world.random('write all');
    for (const group of this.#groups) {
      const call: ModelCall = { type: 'put', key: group.keys[0]!, token: this.#token++, length: 100 };
      await this.#make(group, call, { random, number: 0, mustAnswer: true });
    }
  }

  async #work(group: Group, number: number): Promise<void> {
    const { world, life, load } = this.#options;
    const random = world.random(`caller ${group.prefix}${number}`);
    while (!this.#isStopping) {
      await life.wait(-load.thinkMs * Math.log(1 - random.fraction()), '');
      await this.#make(group, this.#draw(group, random), { random, number, mustAnswer: false });
    }
  }

  async #make(group: Group, call: ModelCall, { random, number, mustAnswer }: Making): Promise<void> {
    const { world, life, layers } = this.#options;
    const layer = layers[number % layers.length]!;
    const { monitor } = group;
    this.counts.calls += 1;
    const requestId = random.uuid();
    const opened = monitor.begin(call, world.nowMs);
    world.note(() => `call ${group.prefix}#${opened.id} ${JSON.stringify(call)}`);
    for (;;) {
      const deadlineMs = DEADLINE_MS_MIN + random.fraction() * (DEADLINE_MS_MAX - DEADLINE_MS_MIN);
      const outcome = await makeCall(call, { layer, bucket: BUCKET, requestId, deadlineMs });
      if (outcome.type === 'answer') {
        this.counts.answers += 1;
        this.#answered(group, opened, outcome.answer);
        return;
      }
      if (outcome.type === 'wrong') {
        const { error: cause } = outcome;
        const text =
          cause instanceof Error
            ? `${cause.name} ${(cause as { code?: string }).code}: ${cause.message}`
            : cause;
        world.fail(new Violation('answer', `${JSON.stringify(call)} must not fail with ${text}`, { cause }));
        return;
      }
      world.note(`call ${group.prefix}#${opened.id} ${outcome.code}`);
      const isEnough =
        monitor.givenUpCount < GIVEN_UP_MAX &&
        monitor.possibilityCount < POSSIBILITIES_MAX &&
        random.fraction() < 0.3;
      if (!mustAnswer && (isEnough || isRead(call))) {
        this.counts.unknowns += 1;
        monitor.giveUp(opened);
        return;
      }
      this.counts.retries += 1;
      await life.wait(RETRY_MS * (1 + random.fraction()), '');
    }
  }

  #answered(group: Group, opened: OpenCall, answer: string | number | boolean): void {
    const { world } = this.#options;
    world.note(() => `call ${group.prefix}#${opened.id} answers ${JSON.stringify(answer)}`);
    const wrong = group.monitor.end(opened, answer);
    if (wrong === undefined) return;
    const name = opened.call.type === 'list' ? 'I11' : 'linearizability';
    world.fail(new Violation(name, wrong));
  }

  /** Bytes of all objects, in that possible state that has most. */
  get liveBytes(): number {
    return this.#groups.reduce((sum, { monitor }) => sum + monitor.bytesMax, 0);
  }

  #draw(group: Group, random: Random): ModelCall {
    const isRewrite = this.#options.load.mix === 'rewrites' && random.fraction() < REWRITE_PART;
    if (!isRewrite) return this.#randomCall(group, random);
    const key = group.keys[Math.floor(random.fraction() * group.keys.length)]!;
    const length = 2000 + Math.floor(random.fraction() * 6000);
    return { type: 'put', key, token: this.#token++, length };
  }

  #randomCall({ keys, prefix }: Group, random: Random): ModelCall {
    const int = (count: number): number => Math.floor(random.fraction() * count);
    const key = keys[int(keys.length)]!;
    const other = keys.filter((name) => name !== key)[int(keys.length - 1)]!;
    const bytes = (): { token: number; length: number } => {
      const length = random.fraction() < 0.003 ? LARGE_BYTES : SIZES[int(SIZES.length)]!;
      return { token: this.#token++, length };
    };
    const some = (): { token: number; length: number } => ({ token: this.#token++, length: 1 + int(3000) });
    const weighted: readonly (readonly [weight: number, call: () => ModelCall])[] = [
      [22, () => ({ type: 'put', key, ...bytes() })],
      [5, () => ({ type: 'create', key, ...bytes() })],
      [5, () => ({ type: 'putIf', key, generation: 1 + int(4), ...bytes() })],
      [8, () => ({ type: 'append', key, ...some() })],
      [8, () => ({ type: 'overwrite', key, offset: int(3000), ...some() })],
      [3, () => ({ type: 'truncate', key, size: int(3000) })],
      [3, () => ({ type: 'upload', key, token: this.#token++, length: 1 + int(35_000) })],
      [2, () => ({ type: 'abandon', key, token: this.#token++, length: 1 + int(35_000) })],
      [17, () => ({ type: 'read', key })],
      [3, () => ({ type: 'head', key })],
      [8, () => ({ type: 'delete', key })],
      [5, () => ({ type: 'rename', key, to: other })],
      [4, () => ({ type: 'copy', key, to: other })],
      [2, () => ({ type: 'renamePrefix', prefix: `${prefix}d/`, to: `${prefix}e/` })],
      [1, () => ({ type: 'renamePrefix', prefix: `${prefix}e/`, to: `${prefix}d/` })],
      [1, () => ({ type: 'deletePrefix', prefix: `${prefix}d/` })],
      [8, () => ({ type: 'list', prefix })]
    ];
    let rest = random.fraction() * weighted.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, call] of weighted) {
      rest -= weight;
      if (rest < 0) return call();
    }
    return { type: 'list', prefix };
  }
}
