import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Bench, runLoad, scratch, startStore } from './harness.js';

/* Resident memory of `stampede up` while a large file goes in and out through the drive and 100,000 entries are listed. */

const BYTES = Number(process.env['MEMORY_BYTES'] ?? 10 * 2 ** 30);
const ENTRIES = Number(process.env['MEMORY_ENTRIES'] ?? 100_000);
const MIB = 2 ** 20;
const EXPECTED_MIB_MAX = 600;

const bench = new Bench('memory', 'Resident memory of the one process that is store and drive.');
using folder = scratch();
const data = join(folder.path, 'data');
const drive = join(folder.path, 'drive');
const store = await startStore({ data, mount: drive });
try {
  await runLoad('files', ['write', drive, String(BYTES)]);
  bench.record('peak after copying in', 'MiB', store.residentBytes().peak / MIB);
  await run('cat', [join(drive, 'big')]);
  bench.record('peak after copying out', 'MiB', store.residentBytes().peak / MIB);
  const flat = join(drive, 'flat');
  execFileSync('mkdir', ['-p', flat]);
  await runLoad('files', ['create-flat', flat, String(ENTRIES)]);
  await run('ls', ['-l', flat]);
  await run('find', [flat]);
  const { peak, now } = store.residentBytes();
  bench.record('peak after listing', 'MiB', peak / MIB);
  bench.record('now', 'MiB', now / MIB);
  bench.record('allowed', 'MiB', EXPECTED_MIB_MAX);
} finally {
  await store[Symbol.asyncDispose]();
}
bench.compare('allowed / peak', {
  figure: 'allowed',
  to: 'peak after listing',
  expectedMin: 1,
  meaning: 'bytes over bytes'
});
bench.finish();

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}
