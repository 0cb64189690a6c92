import { pathPattern } from './path-pattern.js';
import type { Random } from './random.js';

/** What a rule can hit. `findBytes` counts as open and read; `writeBytes` as create, write, sync, rename, syncDirectory. */
export type DiskOperation =
  | 'create'
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'close'
  | 'list'
  | 'createDirectory'
  | 'rename'
  | 'remove'
  | 'removeDirectory'
  | 'syncDirectory'
  | 'space';

/**
 * One fault of a disk.
 *
 * `EIO` fails with `DiskFailed`, `ENOSPC` with `NoSpace`; a failing write may leave a first part of its bytes, and a
 * failing sync may lose any write since the one before it; the file must be reopened then.
 * `flip` changes one random bit of what a read gives, once, as a bad cable would. `hang` never ends.
 */
export interface DiskRule {
  readonly on: DiskOperation | 'any';
  /** See `pathPattern`; absent = every path. */
  readonly path?: string;
  readonly fail: 'EIO' | 'ENOSPC' | 'flip' | 'hang';
  /** Probability for each operation that matches; 1 when absent. */
  readonly chance?: number;
  /** The first so many matching operations go well. */
  readonly afterCount?: number;
  /** The rule ends after so many faults; absent = never. */
  readonly times?: number;
}

/** Rules in order; the first that fires decides. */
export class DiskRules {
  readonly #random: Random;
  #active: ActiveRule[] = [];

  constructor(random: Random, rules: readonly DiskRule[] = []) {
    this.#random = random;
    for (const rule of rules) this.add(rule);
  }

  get isEmpty(): boolean {
    return this.#active.length === 0;
  }

  /** Adds a rule until the result is disposed. */
  add(rule: DiskRule): Disposable {
    const active = { rule, matches: pathPattern(rule.path ?? '**'), seenCount: 0, firedCount: 0 };
    this.#active.push(active);
    return {
      [Symbol.dispose]: () => {
        this.#active = this.#active.filter((other) => other !== active);
      }
    };
  }

  clear(): void {
    this.#active = [];
  }

  findFault(operation: DiskOperation, path: string): DiskRule['fail'] | undefined {
    for (const active of this.#active) {
      const { rule } = active;
      if ((rule.on !== 'any' && rule.on !== operation) || !active.matches(path)) continue;
      if (rule.fail === 'flip' && operation !== 'read') continue;
      active.seenCount += 1;
      if (active.seenCount <= (rule.afterCount ?? 0)) continue;
      if (rule.times !== undefined && active.firedCount >= rule.times) continue;
      if (rule.chance !== undefined && this.#random.fraction() >= rule.chance) continue;
      active.firedCount += 1;
      return rule.fail;
    }
    return undefined;
  }
}

interface ActiveRule {
  readonly rule: DiskRule;
  readonly matches: (path: string) => boolean;
  seenCount: number;
  firedCount: number;
}
