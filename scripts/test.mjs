// `npm test`: sets up what is missing, runs every test, and ends with a line "N passed, N failed".
// `npm test -- path…` runs only those files.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureReady, ensureTapIsBuilt, ROOT, tapCommand } from './setup.mjs';

await ensureReady();
ensureTapIsBuilt();
const directory = mkdtempSync(join(tmpdir(), 'stampede-test-'));
const output = join(directory, 'all.tap');
const reporter = process.stdout.isTTY ? 'base' : 'terse';
const args = [
  tapCommand(),
  'run',
  '--reporter',
  reporter,
  '--output-file',
  output,
  '--timeout',
  '900',
  '--jobs',
  '2'
];
const child = spawn(process.execPath, [...args, ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' });
const code = await new Promise((resolve) => child.on('exit', resolve));
const { passed, failed, skipped } = count(readFileSync(output, 'utf8'));
rmSync(directory, { recursive: true, force: true });
const failedCount = failed === 0 && code !== 0 ? 1 : failed;
console.log(`${passed} passed, ${failedCount} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failedCount === 0 && passed > 0 ? 0 : 1);

/** Counts the named tests: depth 1 of the TAP tree, where depth 0 is a file. A file that fails outside its tests counts too. */
function count(tap) {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  let failedInFile = 0;
  for (const line of tap.split('\n')) {
    const match = /^( {4})?(not )?ok\b(.*)$/.exec(line);
    if (!match) continue;
    const [, isTest, not, rest] = match;
    if (isTest && /# SKIP/i.test(rest)) totals.skipped += 1;
    else if (isTest && not) failedInFile = ++totals.failed;
    else if (isTest) totals.passed += 1;
    else {
      if (not && failedInFile === 0) totals.failed += 1;
      failedInFile = 0;
    }
  }
  return totals;
}
