import { LIMITS, StoreError } from '../api/index.js';
import type { MetaChange, MetaWatchOptions } from './meta-store.js';

/** The changes of one transaction. */
export interface MetaCommit {
  readonly revision: number;
  readonly changes: readonly MetaChange[];
}

export interface MetaHistoryOptions {
  /** Nothing up to this revision can be watched. */
  readonly revision: number;
  readonly changeCountMax: number;
  readonly bytesMax: number;
}

/** The newest commits, bounded in count and bytes, and the watches that follow them. */
export class MetaHistory {
  readonly #options: MetaHistoryOptions;
  readonly #watches = new Set<Watch>();
  /** In order of revision. */
  #commits: MetaCommit[] = [];
  #changeCount = 0;
  #bytes = 0;
  /** Changes up to this revision were dropped. */
  #compactedRevision: number;
  #revision: number;
  #closeError: StoreError | undefined;

  constructor(options: MetaHistoryOptions) {
    this.#options = options;
    this.#compactedRevision = options.revision;
    this.#revision = options.revision;
  }

  get revision(): number {
    return this.#revision;
  }

  add(commit: MetaCommit): void {
    this.#revision = commit.revision;
    this.#commits.push(commit);
    this.#changeCount += commit.changes.length;
    this.#bytes += bytesOf(commit);
    for (const watch of this.#watches) watch.add(commit);
    this.#compact();
  }

  /** Follows from the call on, not only from the first iteration. */
  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange> {
    const watch = new Watch(prefix, options.afterRevision);
    if (this.#closeError) watch.fail(this.#closeError);
    else if (options.afterRevision < this.#compactedRevision) watch.fail(compacted(this.#compactedRevision));
    else for (const commit of this.#commits) watch.add(commit);
    const { signal } = options;
    const end = (): void => {
      watch.end();
      this.#watches.delete(watch);
      signal.removeEventListener('abort', end);
    };
    this.#watches.add(watch);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for (let change = await watch.next(); change; change = await watch.next()) yield change;
        } finally {
          end();
        }
      }
    };
  }

  close(error: StoreError): void {
    this.#closeError = error;
    for (const watch of this.#watches) watch.fail(error);
    this.#watches.clear();
  }

  #compact(): void {
    let droppedCount = 0;
    while (this.#changeCount > this.#options.changeCountMax || this.#bytes > this.#options.bytesMax) {
      const oldest = this.#commits[droppedCount]!;
      this.#changeCount -= oldest.changes.length;
      this.#bytes -= bytesOf(oldest);
      this.#compactedRevision = oldest.revision;
      droppedCount += 1;
    }
    if (droppedCount > 0) this.#commits.splice(0, droppedCount);
  }
}

/** A queue between the commits and one reader. */
class Watch {
  readonly #prefix: string;
  readonly #afterRevision: number;
  #queue: MetaChange[] = [];
  #readCount = 0;
  #end: { readonly error?: StoreError } | undefined;
  #wake: (() => void) | undefined;

  constructor(prefix: string, afterRevision: number) {
    this.#prefix = prefix;
    this.#afterRevision = afterRevision;
  }

  add({ revision, changes }: MetaCommit): void {
    if (this.#end || revision <= this.#afterRevision) return;
    for (const change of changes) if (keyOf(change).startsWith(this.#prefix)) this.#queue.push(change);
    if (this.#queue.length - this.#readCount > LIMITS.watchQueueEventsMax) this.fail(compacted(revision));
    this.#wake?.();
  }

  /** What was queued is dropped: the reader lists again anyway. */
  fail(error: StoreError): void {
    this.#end ??= { error };
    this.#queue = [];
    this.#readCount = 0;
    this.#wake?.();
  }

  end(): void {
    this.#end ??= {};
    this.#queue = [];
    this.#readCount = 0;
    this.#wake?.();
  }

  /** The next change, or `undefined` once ended. */
  async next(): Promise<MetaChange | undefined> {
    while (!this.#end && this.#queue.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#end?.error) throw this.#end.error;
    if (this.#end) return undefined;
    const change = this.#queue[this.#readCount]!;
    this.#readCount += 1;
    if (this.#readCount === this.#queue.length) {
      this.#queue = [];
      this.#readCount = 0;
    }
    return change;
  }
}

function keyOf(change: MetaChange): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

function bytesOf({ changes }: MetaCommit): number {
  let bytes = 0;
  for (const change of changes)
    bytes += keyOf(change).length + (change.type === 'put' ? change.entry.value.byteLength : 0);
  return bytes;
}

function compacted(revision: number): StoreError {
  return new StoreError(
    'MetaCompacted',
    `Changes up to revision ${revision} are gone. Read the range again and watch from its revision.`
  );
}
