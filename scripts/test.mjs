// `npm test`: sets up what is missing, runs every test, and ends with a line "N passed, N failed".
// `npm test -- path…` runs only those files, or those below these folders.
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { ensureReady, ensureTapIsBuilt, ROOT, setUp, tapCommand } from './setup.mjs';
import { TapResults } from './tap-results.mjs';

const FILE_TIMEOUT_SECONDS = 900;

const paths = process.argv.slice(2);
const files = paths.flatMap(testsAt);
if (paths.length > 0 && files.length === 0) {
  console.error(`there is no test at ${paths.join(', ')}; name files or folders, as src or test/crash`);
  process.exit(2);
}
await setUp();
const areTypesWrong = paths.length === 0 && !(await typesAreRight());
await ensureTapIsBuilt();
const results = new TapResults((line) => console.log(line));
const code = await runTap(files, results);
results.end();
const { passed, skipped } = results;
let { failed } = results;
if (failed === 0 && code !== 0) failed = 1;
if (areTypesWrong) {
  console.log('FAIL the types of the tests, see above');
  failed += 1;
}
if (skipped > 0) console.log(`${skipped} left out: this machine lacks what they need`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

/** @returns The exit code of tap. Without files it runs all. */
async function runTap(files, results) {
  const options = ['--reporter', 'tap', '--timeout', String(FILE_TIMEOUT_SECONDS), '--jobs', '2'];
  const child = spawn(process.execPath, [tapCommand(), 'run', ...options, ...files], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit']
  });
  child.stdout.setEncoding('utf8').on('data', (text) => results.add(text));
  return new Promise((done) => child.on('close', done));
}

/** Tests run without their types; wrong ones count as one failed test, and all others are run. */
async function typesAreRight() {
  try {
    await ensureReady({ build: 'all' });
    return true;
  } catch (error) {
    console.error(`stampede: ${error.message}`);
    return false;
  }
}

/** The test files at or below a path, from the root of the checkout. */
function testsAt(path) {
  const absolute = resolve(path);
  const stats = statSync(absolute, { throwIfNoEntry: false });
  if (!stats) return [];
  if (!stats.isDirectory()) return [relative(ROOT, absolute)];
  return readdirSync(absolute, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory())
      return ['node_modules', 'dist'].includes(entry.name) ? [] : testsAt(join(path, entry.name));
    return entry.name.endsWith('.test.ts') ? [relative(ROOT, join(absolute, entry.name))] : [];
  });
}
