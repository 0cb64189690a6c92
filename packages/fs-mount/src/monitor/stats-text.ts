import type { FileSystemStatus } from '../file-system.js';
import { type CallCount, DURATION_SECONDS } from './call-counts.js';
import type { Monitor } from './monitor.js';

/** What is said of the mount as a whole. */
export interface MountFacts {
  readonly driver: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly pid: number;
  readonly startedAtMs: number;
}

type Labels = Readonly<Record<string, string>>;

/** What a mount counts, in the text format of Prometheus. */
export function statsText(monitor: Monitor, status: FileSystemStatus, facts: MountFacts): string {
  const text = new StatsText();
  const { driver, bucket, prefix, pid } = facts;
  text.gauge('info', 'The mount.', [[1, { driver, bucket, prefix, pid: String(pid) }]]);
  text.gauge('start_time_seconds', 'When it was mounted.', [[facts.startedAtMs / 1000]]);
  text.calls('operation', 'Operations of programs, as the kernel asks for them.', monitor.operations.all());
  text.counter('read_bytes_total', 'Bytes that programs read.', [[monitor.readBytes]]);
  text.counter('written_bytes_total', 'Bytes that programs wrote.', [[monitor.writtenBytes]]);
  text.counter(
    'opens_total',
    'Opened files, by who reads their bytes: the kernel by itself, or why it asks.',
    [...monitor.opens].map(([outcome, count]): [number, Labels] => [count, { outcome }])
  );
  text.calls('store_call', 'Calls to the store.', monitor.storeCalls.all());
  cacheStats(text, status);
  text.gauge('write_memory_bytes', 'Memory of what is not stored yet.', [[status.writeMemoryBytes]]);
  text.gauge('write_memory_limit_bytes', 'Most of it.', [[status.writeMemoryLimitBytes]]);
  text.gauge('unstored_bytes', 'Written and not stored yet.', [[status.dirtyBytes]]);
  text.gauge('open_files', 'Files that programs have open.', [[status.openFileCount]]);
  text.gauge('watch_live', '1 while the store reports changes by others at once.', [
    [status.watchIsLive ? 1 : 0]
  ]);
  text.gauge('log_readers', 'Who reads the log.', [[monitor.log.readerCount]]);
  text.counter('log_dropped_lines_total', 'Lines that a reader of the log was too slow for.', [
    [monitor.log.droppedCount]
  ]);
  text.gauge('resident_bytes', 'Memory of the process.', [[process.memoryUsage.rss()]]);
  return text.toString();
}

function cacheStats(text: StatsText, { caches }: FileSystemStatus): void {
  const rows = (pick: (cache: (typeof caches)[number]) => number | undefined) =>
    caches.flatMap((cache): [number, Labels][] => {
      const value = pick(cache);
      return value === undefined ? [] : [[value, { cache: cache.name }]];
    });
  text.counter(
    'cache_hits_total',
    'Questions that a cache answered.',
    rows(({ hitCount }) => hitCount)
  );
  text.counter(
    'cache_misses_total',
    'Questions that it could not.',
    rows(({ missCount }) => missCount)
  );
  text.counter(
    'cache_hit_bytes_total',
    'Bytes out of a cache.',
    rows(({ hitBytes }) => hitBytes)
  );
  text.counter(
    'cache_miss_bytes_total',
    'Bytes not in it.',
    rows(({ missBytes }) => missBytes)
  );
  text.gauge(
    'cache_bytes',
    'What a cache takes.',
    rows(({ bytes }) => bytes)
  );
  text.gauge(
    'cache_limit_bytes',
    'Most of it.',
    rows(({ limitBytes }) => limitBytes)
  );
  text.gauge(
    'cache_entries',
    'What a cache knows.',
    rows(({ entryCount }) => entryCount)
  );
}

class StatsText {
  #text = '';

  counter(name: string, help: string, rows: readonly (readonly [number, Labels?])[]): void {
    this.#family(name, help, 'counter', rows);
  }

  gauge(name: string, help: string, rows: readonly (readonly [number, Labels?])[]): void {
    this.#family(name, help, 'gauge', rows);
  }

  calls(name: string, help: string, counts: readonly CallCount[]): void {
    const failures = counts.flatMap((count) =>
      [...count.failures].map(([code, value]): [number, Labels] => [value, { [name]: count.name, code }])
    );
    const totals = counts.map(({ count, name: call }): [number, Labels] => [count, { [name]: call }]);
    this.counter(`${name}s_total`, help, totals);
    this.counter(`${name}_failures_total`, 'Those that failed, by errno or code.', failures);
    this.#head(`${name}_duration_seconds`, 'How long they took.', 'histogram');
    for (const count of counts) this.#histogram(`${name}_duration_seconds`, count, { [name]: count.name });
  }

  toString(): string {
    return this.#text;
  }

  #histogram(name: string, { classes, count, durationMs }: CallCount, labels: Labels): void {
    let below = 0;
    DURATION_SECONDS.forEach((bound, index) => {
      below += classes[index]!;
      this.#row(`${name}_bucket`, below, { ...labels, le: String(bound) });
    });
    this.#row(`${name}_bucket`, count, { ...labels, le: '+Inf' });
    this.#row(`${name}_sum`, durationMs / 1000, labels);
    this.#row(`${name}_count`, count, labels);
  }

  #family(name: string, help: string, type: string, rows: readonly (readonly [number, Labels?])[]): void {
    if (rows.length === 0) return;
    this.#head(name, help, type);
    for (const [value, labels = {}] of rows) this.#row(name, value, labels);
  }

  #head(name: string, help: string, type: string): void {
    this.#text += `# HELP stampede_drive_${name} ${help}\n# TYPE stampede_drive_${name} ${type}\n`;
  }

  #row(name: string, value: number, labels: Labels): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    const all = pairs.length > 0 ? `{${pairs.join(',')}}` : '';
    this.#text += `stampede_drive_${name}${all} ${value}\n`;
  }
}

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
