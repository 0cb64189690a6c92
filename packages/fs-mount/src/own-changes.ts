import type { ObjectHead, StoreCalls, WatchEvent } from '@stampede/client';
import { BoundedMap } from './bounded-map.js';
import type { Clock } from './clock.js';

/** Keys, and changes of one key, that the watch is expected to tell of; what is not expected counts as foreign. */
const EXPECTED_KEY_COUNT_MAX = 20_000;
const EXPECTED_COUNT_MAX = 64;
const DEFERRED_COUNT_MAX = 100;
/** An own change of a prefix that the watch has not told of by then is not expected any more. */
const PREFIX_WAIT_MS_MAX = 10_000;
const DELETED = 'deleted';

export type KeyEvent = Extract<WatchEvent, { readonly type: 'put' | 'delete' }>;
export type PrefixEvent = Extract<WatchEvent, { readonly type: 'renamePrefix' | 'deletePrefix' }>;

export interface OwnChangesOptions {
  readonly store: StoreCalls;
  readonly clock: Clock;
  /** Somebody else made the change, or nobody knows who. */
  readonly onForeign: (event: KeyEvent | PrefixEvent) => void;
}

/** Own calls under way on a key, and the events of the key that came meanwhile: whose they are the answers tell. */
interface Pending {
  count: number;
  readonly deferred: KeyEvent[];
}

/** What of a call's input says which keys it changes. */
interface Touched {
  readonly key: string;
  readonly to?: { readonly key: string } | undefined;
  readonly exchange?: boolean | undefined;
}

type Run<Input, Result> = (input: Input, options?: never) => Promise<Result>;

/**
 * Tells the changes that this mount made itself from those of others when the watch reports both: of its own the kernel
 * knows already.
 */
export class OwnChanges {
  /** The store; what is changed through it is known to be own. */
  readonly store: StoreCalls;
  readonly #options: OwnChangesOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #expected = new BoundedMap<string, string[]>({ limit: EXPECTED_KEY_COUNT_MAX });
  /** Until when the watch may tell of an own change of a prefix. */
  readonly #prefixes = new Map<string, number>();

  constructor(options: OwnChangesOptions) {
    this.#options = options;
    this.store = this.#observed(options.store);
  }

  /** Takes the next event of the watch. */
  judge(event: KeyEvent | PrefixEvent): void {
    if (event.type === 'renamePrefix' || event.type === 'deletePrefix') return void this.#judgePrefix(event);
    const pending = this.#pending.get(keyOf(event));
    if (pending && pending.deferred.length < DEFERRED_COUNT_MAX) pending.deferred.push(event);
    else this.#judgeKey(event);
  }

  /** Events were missed, and those of own changes may be among them. */
  forget(): void {
    this.#expected.clear();
    this.#prefixes.clear();
    for (const pending of this.#pending.values()) pending.deferred.length = 0;
  }

  #judgeKey(event: KeyEvent): void {
    const key = keyOf(event);
    const expected = this.#expected.get(key);
    const index = expected?.indexOf(event.type === 'put' ? nameOf(event.head) : DELETED) ?? -1;
    if (index < 0) return void this.#options.onForeign(event);
    // Events of a key come in the order of its changes.
    expected!.splice(0, index + 1);
    if (expected!.length === 0) this.#expected.delete(key);
  }

  #judgePrefix(event: PrefixEvent): void {
    const name = prefixNameOf(event);
    const untilMs = this.#prefixes.get(name);
    this.#prefixes.delete(name);
    if (untilMs === undefined || untilMs < this.#options.clock.monotonicMs()) this.#options.onForeign(event);
  }

  /** Lies on top of the given one, so that what is not watched here is found there. */
  #observed(store: StoreCalls): StoreCalls {
    const { objects, uploads } = store;
    const own = {
      put: this.#heads((...call: Parameters<typeof objects.put>) => objects.put(...call)),
      edit: this.#heads((...call: Parameters<typeof objects.edit>) => objects.edit(...call)),
      copy: this.#heads((...call: Parameters<typeof objects.copy>) => objects.copy(...call)),
      compose: this.#heads((...call: Parameters<typeof objects.compose>) => objects.compose(...call)),
      setAttributes: this.#heads((...call: Parameters<typeof objects.setAttributes>) =>
        objects.setAttributes(...call)
      ),
      rename: this.#renames((...call: Parameters<typeof objects.rename>) => objects.rename(...call)),
      delete: this.#deletions((...call: Parameters<typeof objects.delete>) => objects.delete(...call)),
      renamePrefix: this.#prefixRenames((...call: Parameters<typeof objects.renamePrefix>) =>
        objects.renamePrefix(...call)
      )
    };
    const complete = this.#heads((...call: Parameters<typeof uploads.complete>) => uploads.complete(...call));
    return {
      ...store,
      objects: Object.assign(Object.create(objects), own),
      uploads: Object.assign(Object.create(uploads), { complete })
    };
  }

  #heads<Input extends Touched>(run: Run<Input, ObjectHead>): Run<Input, ObjectHead> {
    return this.#tracked(run, (_, head) => this.#expect(head.key, nameOf(head)));
  }

  #deletions<Input extends Touched>(run: Run<Input, { readonly deleted: boolean }>) {
    return this.#tracked(run, ({ key }, { deleted }) => {
      if (deleted) this.#expect(key, DELETED);
    });
  }

  /** Of an exchange the other version is not known: its event counts as foreign. */
  #renames<Input extends Touched>(run: Run<Input, ObjectHead>): Run<Input, ObjectHead> {
    return this.#tracked(run, ({ key, exchange }, head) => {
      if (!exchange) this.#expect(key, DELETED);
      this.#expect(head.key, nameOf(head));
    });
  }

  #tracked<Input extends Touched, Result>(
    run: Run<Input, Result>,
    expect: (input: Input, result: Result) => void
  ): Run<Input, Result> {
    return async (input, options) => {
      const keys = input.to ? [input.key, input.to.key] : [input.key];
      for (const key of keys) this.#begin(key);
      try {
        const result = await run(input, options);
        expect(input, result);
        return result;
      } finally {
        for (const key of keys) this.#end(key);
      }
    };
  }

  #prefixRenames<Input extends { readonly prefix: string; readonly to: string }, Result>(
    run: Run<Input, Result>
  ): Run<Input, Result> {
    return async (input, options) => {
      const { clock } = this.#options;
      const name = prefixNameOf(input);
      this.#prefixes.set(name, Number.POSITIVE_INFINITY);
      try {
        const result = await run(input, options);
        // Its event may have come before the answer.
        if (this.#prefixes.has(name)) this.#prefixes.set(name, clock.monotonicMs() + PREFIX_WAIT_MS_MAX);
        return result;
      } catch (error) {
        this.#prefixes.delete(name);
        throw error;
      }
    };
  }

  #expect(key: string, name: string): void {
    const expected = this.#expected.get(key) ?? [];
    expected.push(name);
    if (expected.length > EXPECTED_COUNT_MAX) expected.shift();
    this.#expected.set(key, expected);
  }

  #begin(key: string): void {
    const pending = this.#pending.get(key);
    if (pending) pending.count++;
    else this.#pending.set(key, { count: 1, deferred: [] });
  }

  #end(key: string): void {
    const pending = this.#pending.get(key)!;
    pending.count--;
    if (pending.count > 0) return;
    this.#pending.delete(key);
    for (const event of pending.deferred) this.#judgeKey(event);
  }
}

export function keyOf(event: KeyEvent): string {
  return event.type === 'put' ? event.head.key : event.key;
}

function nameOf({ generation, versionId, etag }: ObjectHead): string {
  return `${generation} ${versionId} ${etag}`;
}

function prefixNameOf({ prefix, ...rest }: { readonly prefix: string; readonly to?: string }): string {
  return `${prefix}\0${rest.to ?? ''}`;
}
