import type { ErrorCode } from '@stampede/client';
import { type StoreCalls, StoreError } from '@stampede/client';
import { type MemoryStoreOptions, memoryStore } from '@stampede/client/testing';

/** Makes a call fail: `before` it reaches the store, or `after`, when it has happened and only the answer is lost. */
export interface Fault {
  readonly call: string;
  readonly code: ErrorCode;
  readonly when?: 'before' | 'after';
  /** How often; default once. */
  times?: number;
}

type AnyCalls = Record<string, (...parameters: unknown[]) => unknown>;

/** A store in memory that counts its calls, fails them by rules and can hold them up. */
export class ObservedStore {
  readonly #inner: StoreCalls;
  readonly #faults: Fault[] = [];
  readonly #held = new Map<string, { readonly until: Promise<void>; readonly release: () => void }>();
  readonly calls: string[] = [];
  /** The store as the file system gets it. */
  readonly observed: StoreCalls;

  constructor(options: MemoryStoreOptions = {}) {
    this.#inner = memoryStore(options);
    this.observed = {
      buckets: this.#observe('buckets'),
      objects: this.#observe('objects'),
      uploads: this.#observe('uploads'),
      locks: this.#observe('locks'),
      keys: this.#observe('keys'),
      admin: this.#observe('admin')
    };
  }

  /** The store as other faces use it: neither counted nor failing. */
  get direct(): StoreCalls {
    return this.#inner;
  }

  fail(fault: Fault): void {
    this.#faults.push(fault);
  }

  heal(): void {
    this.#faults.length = 0;
  }

  /** Calls of this name wait until `release`. */
  hold(call: string): { release(): void } {
    let release: () => void = () => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held.set(call, { until, release });
    return {
      release: () => {
        this.#held.delete(call);
        release();
      }
    };
  }

  /** The calls since the last time, without those that only ask or listen. */
  takeMutations(): string[] {
    const asking = /\.(stat|head|list|read|watch|status)$/;
    return this.takeCalls().filter((call) => !asking.test(call));
  }

  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  #observe<Name extends keyof StoreCalls>(group: Name): StoreCalls[Name] {
    const calls = this.#inner[group] as unknown as AnyCalls;
    const observed: AnyCalls = {};
    for (const [name, run] of Object.entries(calls)) {
      const call = `${group}.${name}`;
      observed[name] = name === 'watch' ? this.#watch(call, run) : this.#answer(call, run);
    }
    return observed as unknown as StoreCalls[Name];
  }

  #answer(call: string, run: (...parameters: unknown[]) => unknown) {
    return async (...parameters: unknown[]) => {
      this.calls.push(call);
      await this.#held.get(call)?.until;
      const fault = this.#takeFault(call);
      if (fault && fault.when !== 'after') throw new StoreError(fault.code, `${call} fails in this test`);
      const result = await run(...parameters);
      if (fault) throw new StoreError(fault.code, `the answer of ${call} is lost in this test`);
      return result;
    };
  }

  #watch(call: string, run: (...parameters: unknown[]) => unknown) {
    return (...parameters: unknown[]) => {
      this.calls.push(call);
      const fault = this.#takeFault(call);
      if (fault) throw new StoreError(fault.code, `${call} fails in this test`);
      return run(...parameters);
    };
  }

  #takeFault(call: string): Fault | undefined {
    const index = this.#faults.findIndex((fault) => fault.call === call);
    const fault = this.#faults[index];
    if (!fault) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.#faults.splice(index, 1);
    return fault;
  }
}
