// Brings a checkout to the point where it runs: Node version, dependencies, build. Plain JavaScript and Node only,
// since nothing is installed yet when it runs. Each step is skipped when its result is already there.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR_MIN = 20;

/** Installs and builds what is missing; throws with what to do when a step fails. */
export async function ensureReady({ quiet = false, build = 'always' } = {}) {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN)
    throw new Error(`Node ${NODE_MAJOR_MIN} or newer is needed, this is ${process.version}`);
  if (dependenciesAreStale()) {
    await exclusively(() => {
      if (!dependenciesAreStale()) return;
      if (!quiet) console.error('Installing dependencies (npm ci) …');
      run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], quiet);
    });
  }
  if (build === 'always' || !existsSync(join(ROOT, 'dist/src/main.js'))) {
    await exclusively(() => {
      if (!quiet) console.error('Building …');
      run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-b', ROOT], quiet);
    });
  }
}

/** Compiles tap's plugin set into node_modules, once for each install. */
export function ensureTapIsBuilt() {
  const marker = join(ROOT, 'node_modules/.stampede-tap-built');
  const installed = join(ROOT, 'node_modules/.package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(installed).mtimeMs) return;
  run(process.execPath, [tapCommand(), 'build'], true);
  writeFileSync(marker, '');
}

export function tapCommand() {
  return join(ROOT, 'node_modules/tap/dist/esm/run.mjs');
}

function dependenciesAreStale() {
  const installed = join(ROOT, 'node_modules/.package-lock.json');
  return (
    !existsSync(installed) || statSync(installed).mtimeMs < statSync(join(ROOT, 'package-lock.json')).mtimeMs
  );
}

function run(command, args, quiet) {
  const result = spawnSync(command, args, {
    cwd: ROOT,
    stdio: ['ignore', quiet ? 'pipe' : process.stderr, 'pipe'],
    encoding: 'utf8'
  });
  if (result.status === 0) return;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-20).join('\n');
  throw new Error(
    `${command} ${args.join(' ')} failed (${result.error?.message ?? `exit ${result.status}`}):\n${said}`
  );
}

/** Two terminals may start at once on a fresh clone: one installs, the other waits for it. */
async function exclusively(work) {
  const lock = join(ROOT, '.setup.lock');
  const waitUntil = Date.now() + 10 * 60_000;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (Date.now() > waitUntil)
        throw new Error(`another set-up seems to be running; if not, remove ${lock} and try again`);
      if (isOlderThanMs(lock, 10 * 60_000)) rmSync(lock, { recursive: true, force: true });
      else await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function isOlderThanMs(path, ageMs) {
  try {
    return Date.now() - statSync(path).mtimeMs > ageMs;
  } catch {
    return false;
  }
}
