import { StoreError } from '../../api/index.js';
import {
  type MemoryOrderedStores,
  memoryOrderedStores,
  type OrderedStore,
  type StoreOperation
} from '../../platform/index.js';

/** What goes wrong with one step of an ordered store: before its effect, or after it, when only the answer fails. */
export type StepFault = 'before' | 'after';

const DIRECTORY = '/meta';

/**
 * An ordered store whose steps are counted over all its openings: `open`, `close` and each batch is one. A fault ends what
 * is open as a failed write does: every later batch fails.
 */
export class FailingStores {
  readonly stores: MemoryOrderedStores = memoryOrderedStores();
  stepCount = 0;
  /** By the number of a step, from 1. */
  readonly faults = new Map<number, StepFault>();

  async open(): Promise<OrderedStore> {
    const fault = this.#step();
    if (fault === 'before') throw broken('opened');
    const inner = await this.stores.open(DIRECTORY);
    if (fault === 'after') {
      await inner.close();
      throw broken('opened');
    }
    return this.#failing(inner);
  }

  /** As a power cut. */
  async crash(): Promise<void> {
    await this.stores.crash();
  }

  #step(): StepFault | undefined {
    this.stepCount += 1;
    return this.faults.get(this.stepCount);
  }

  #failing(inner: OrderedStore): OrderedStore {
    let failure: StoreError | undefined;
    const batch = async (
      operations: readonly StoreOperation[],
      options?: { readonly sync?: boolean }
    ): Promise<void> => {
      if (failure) throw failure;
      const fault = this.#step();
      if (fault) failure = broken('written');
      if (fault !== 'before') await inner.batch(operations, options);
      if (fault) throw failure;
    };
    const close = async (): Promise<void> => {
      const fault = this.#step();
      if (fault !== 'before') await inner.close();
      if (fault) throw broken('closed');
    };
    return { get: inner.get, range: inner.range, scan: inner.scan, batch, close };
  }
}

function broken(what: string): StoreError {
  return new StoreError('DiskFailed', `It cannot be ${what}. Check the disk.`);
}
