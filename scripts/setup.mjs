// Brings a checkout to the point where it runs: Node version, dependencies, build. Plain JavaScript and Node only,
// since nothing is installed yet when it runs. Each step is skipped when its result is there and newer than its sources.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
  utimesSync,
  writeFileSync
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildAddon } from '../packages/fs-mount/native/build.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MIN = [20, 19];
const WAIT_MS_MAX = 15 * 60_000;
const POLL_MS = 200;
const OUTPUT_LINES_MAX = 20;

/** What each kind of build compiles, and which folders it comes from. */
const BUILDS = {
  /** What the command runs. */
  command: { project: 'src', folders: ['packages', 'src'] },
  /** Also the types of tests and benchmarks. */
  all: { project: '.', folders: ['packages', 'src', 'test', 'bench'] }
};

/** Installs and builds what is missing or older than its sources; throws with what to do when a step fails. */
export async function ensureReady({ quiet = false, build = 'command' } = {}) {
  checkNode();
  const say = (text) => quiet || console.error(text);
  const isReady = () => !dependenciesAreStale() && !buildIsStale(build);
  // Where it cannot be built the other driver serves, and the mount says why.
  buildAddon();
  if (isReady()) return;
  await exclusively(say, async (lock) => {
    if (dependenciesAreStale()) {
      say('Installing dependencies (npm ci) …');
      await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { quiet, lock });
      // npm keeps the time of an older list when nothing changed in it.
      touch(installedList());
    }
    if (buildIsStale(build)) {
      say('Building …');
      await buildProject(build, { quiet, lock });
    }
  });
}

/** As `ensureReady`, for scripts: what cannot be set up is said in a line, and ends them. */
export async function setUp(options) {
  try {
    await ensureReady(options);
  } catch (error) {
    console.error(`stampede: ${error.message}`);
    process.exit(1);
  }
}

/** Compiles tap's plugin set into node_modules, once for each install. */
export async function ensureTapIsBuilt() {
  const marker = join(ROOT, 'node_modules/.stampede-tap-built');
  const isBuilt = () => modifiedMs(marker) >= modifiedMs(installedList());
  if (isBuilt()) return;
  await exclusively(console.error, async (lock) => {
    if (isBuilt()) return;
    await run(process.execPath, [tapCommand(), 'build'], { quiet: true, lock });
    writeFileSync(marker, '');
  });
}

export function tapCommand() {
  return join(ROOT, 'node_modules/tap/dist/esm/run.mjs');
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]))
    throw new Error(`Node ${NODE_MIN.join('.')} or newer is needed, this is ${process.version}`);
}

function installedList() {
  return join(ROOT, 'node_modules/.package-lock.json');
}

function dependenciesAreStale() {
  return modifiedMs(installedList()) < modifiedMs(join(ROOT, 'package-lock.json'));
}

function builtMarker(build) {
  return join(ROOT, 'dist', `.built-${build}`);
}

function buildIsStale(build) {
  const builtMs = modifiedMs(builtMarker(build));
  if (builtMs === 0 || outputsAreMissing()) return true;
  if (builtMs < modifiedMs(installedList())) return true;
  return newestSourceMs(BUILDS[build].folders) >= builtMs;
}

function outputsAreMissing() {
  const packages = readdirSync(join(ROOT, 'packages')).map((name) => join('packages', name, 'dist/index.js'));
  return !['dist/src/main.js', ...packages].every((path) => existsSync(join(ROOT, path)));
}

async function buildProject(build, options) {
  // What changes while it is being built is newer than the marker.
  const startedAt = new Date();
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  // The compiler trusts its notes of what it wrote, and does not look whether that is still there.
  const force = outputsAreMissing() ? ['--force'] : [];
  await run(process.execPath, [tsc, '-b', join(ROOT, BUILDS[build].project), ...force], options);
  const marker = builtMarker(build);
  mkdirSync(dirname(marker), { recursive: true });
  writeFileSync(marker, '');
  utimesSync(marker, startedAt, startedAt);
}

/** When the newest file or folder that a build comes from was changed; folders tell of files that are gone. */
function newestSourceMs(folders) {
  const newest = (path) => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats?.isDirectory()) return /\.(ts|json)$/.test(path) ? (stats?.mtimeMs ?? 0) : 0;
    const names = readdirSync(path).filter((name) => !['node_modules', 'dist', 'results'].includes(name));
    return Math.max(stats.mtimeMs, ...names.map((name) => newest(join(path, name))));
  };
  return Math.max(
    ...['tsconfig.base.json', ...folders.flatMap(sourcesIn)].map((path) => newest(join(ROOT, path)))
  );
}

/** A build writes into the folders of packages, beside what it comes from. */
function sourcesIn(folder) {
  if (folder !== 'packages') return [folder];
  return readdirSync(join(ROOT, folder)).flatMap((name) =>
    ['src', 'package.json', 'tsconfig.json'].map((part) => join(folder, name, part))
  );
}

/** 0 for what is not there. */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function touch(path) {
  const now = new Date();
  if (existsSync(path)) utimesSync(path, now, now);
}

/** `lock` is held by the command too: should we be killed, nobody else starts before it has ended. */
async function run(command, args, { quiet, lock }) {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe', ...(lock === undefined ? [] : [lock])]
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said = (said + text).slice(-16_384);
      if (!quiet) process.stderr.write(text);
    });
  }
  const failure = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `exit ${code ?? signal}`));
  });
  if (failure === undefined) return;
  const lines = quiet ? `:\n${said.trim().split('\n').slice(-OUTPUT_LINES_MAX).join('\n')}` : '';
  throw new Error(`${[command, ...args].join(' ')} failed (${failure})${lines}`);
}

/**
 * Two terminals may start at once on a fresh clone: one sets up, the other waits for it. The lock is a name that the
 * kernel gives to one process at a time and takes back when it ends, however that happens, so that none is left behind.
 */
async function exclusively(say, work) {
  const name = `\0stampede-setup-${createHash('sha256').update(realpathSync(ROOT)).digest('hex').slice(0, 24)}`;
  const waitUntilMs = Date.now() + WAIT_MS_MAX;
  let lock = await tryListen(name);
  if (!lock) say('Waiting for another set-up of this checkout …');
  while (!lock) {
    if (Date.now() > waitUntilMs)
      throw new Error('another set-up of this checkout does not end; stop it and try again');
    await sleep(POLL_MS);
    lock = await tryListen(name);
  }
  try {
    await work(lock._handle?.fd);
  } finally {
    await new Promise((resolve) => lock.close(resolve));
  }
}

function tryListen(name) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(name, () => resolve(server));
  });
}
