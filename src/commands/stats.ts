import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineCommand, flag } from '../command.js';
import { currentRows, type DriveStats, parseDriveStats, rateRows, type StatRow } from '../drive-stats.js';
import { jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';
import { CommandError } from '../usage-error.js';

const INTERVAL_MS = 1000;

export const stats = defineCommand({
  name: 'stats',
  parameters: '<dir>',
  summary: 'show what a drive is doing, each second until Ctrl-C',
  details: 'It reads .stampede/stats at the root of the drive, which any monitoring can read too.',
  options: {
    once: flag('--once', 'only what it has and uses now'),
    json: jsonOption('one JSON object a second')
  },
  example: 'stats ./drive',
  async run(context, [text = ''], { once, json }) {
    const { output, signal } = context;
    const directory = context.localPath(text);
    let before = await readStats(directory);
    if (once) {
      if (json) await output.json(Object.fromEntries(before.samples));
      else await output.table(tableOf(currentRows(before)), { rightAligned: [1] });
      return;
    }
    for (;;) {
      const startedMs = performance.now();
      await sleep(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const after = await readStats(directory);
      const rows = [
        ...rateRows(before, after, (performance.now() - startedMs) / 1000),
        ...currentRows(after)
      ];
      before = after;
      if (json) await output.json(Object.fromEntries(rows.map(({ name, value }) => [name, value])));
      else {
        await output.table(tableOf(rows), { rightAligned: [1] });
        await output.line('');
      }
    }
  }
});

async function readStats(directory: string): Promise<DriveStats> {
  const path = join(directory, '.stampede', 'stats');
  try {
    return parseDriveStats(await readFile(path, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandError(`${path} cannot be read (${code}); name the directory where a drive is mounted`);
  }
}

function tableOf(rows: readonly StatRow[]): string[][] {
  return rows.map(({ name, value, unit }) => [name, shown(value, unit)]);
}

function shown(value: number, unit: StatRow['unit']): string {
  if (unit === 'bytes') return formatSize(Math.round(value));
  if (unit === 'ms') return `${value.toFixed(2)} ms`;
  return value >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
