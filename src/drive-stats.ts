/* What `.stampede/stats` of a drive says, and what two of them say of the time between them. */

export interface DriveStats {
  /** By name and labels, as they stand in the text, without `stampede_drive_`. */
  readonly samples: ReadonlyMap<string, number>;
}

const PREFIX = 'stampede_drive_';

export function parseDriveStats(text: string): DriveStats {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(PREFIX)) continue;
    const end = line.lastIndexOf(' ');
    samples.set(line.slice(PREFIX.length, end), Number(line.slice(end + 1)));
  }
  return { samples };
}

/** One thing to show: what it is called, and how much of it. */
export interface StatRow {
  readonly name: string;
  readonly value: number;
  readonly unit: 'bytes' | 'count' | 'ms';
}

/** What a drive has and uses at the moment. */
export function currentRows({ samples }: DriveStats): readonly StatRow[] {
  const rows: StatRow[] = [];
  const add = (name: string, sample: string, unit: StatRow['unit']): void => {
    const value = samples.get(sample);
    if (value !== undefined) rows.push({ name, value, unit });
  };
  add('open files', 'open_files', 'count');
  add('not stored yet', 'unstored_bytes', 'bytes');
  add('write memory', 'write_memory_bytes', 'bytes');
  add('process memory', 'resident_bytes', 'bytes');
  add('watch live', 'watch_live', 'count');
  for (const [name, value] of samples) {
    const outcome = /^opens_total\{outcome="([^"]*)"\}$/.exec(name)?.[1];
    if (outcome !== undefined) rows.push({ name: `opened so far: ${outcome}`, value, unit: 'count' });
    const cache = /^cache_bytes\{cache="([^"]*)"\}$/.exec(name)?.[1];
    if (cache !== undefined) rows.push({ name: `${cache} cache`, value, unit: 'bytes' });
  }
  return rows;
}

/** What happened between two readings, a second; operations with the time they took. */
export function rateRows(before: DriveStats, after: DriveStats, seconds: number): readonly StatRow[] {
  const rate = (sample: string): number =>
    ((after.samples.get(sample) ?? 0) - (before.samples.get(sample) ?? 0)) / seconds;
  const rows: StatRow[] = [
    { name: 'read', value: rate('read_bytes_total'), unit: 'bytes' },
    { name: 'written', value: rate('written_bytes_total'), unit: 'bytes' }
  ];
  for (const name of after.samples.keys()) {
    const operation = /^operations_total\{operation="([^"]*)"\}$/.exec(name)?.[1];
    if (operation === undefined) continue;
    const count = rate(name);
    if (count <= 0) continue;
    rows.push({ name: operation, value: count, unit: 'count' });
    const busy = rate(`operation_duration_seconds_sum{operation="${operation}"}`);
    rows.push({ name: `${operation}, each`, value: (busy * 1000) / count, unit: 'ms' });
  }
  return rows;
}
