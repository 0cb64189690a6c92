// Compiles the Linux driver with the system's C compiler against the headers beside the running Node. Nothing is
// downloaded, and nothing depends on it: where it cannot be built the fuse-native driver serves. Run by the set-up of a
// checkout and by the installation of the package.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = dirname(fileURLToPath(import.meta.url));
/** The sources and the header that they share. */
const INPUTS = readdirSync(FOLDER)
  .filter((name) => /\.[ch]$/.test(name))
  .map((name) => join(FOLDER, name));
/** It takes a second or two. */
const COMPILE_MS_MAX = 60_000;
const FLAGS = ['-std=gnu11', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'];

/** Where the addon is for this Node; others on the same machine have their own. */
export const ADDON = join(
  FOLDER,
  'build',
  `fuse-device-${process.platform}-${process.arch}-${process.versions.modules}.node`
);

/** Builds what is missing or older than its source; returns why it could not be, or undefined. Never throws. */
export function buildAddon({ flags = [], output = ADDON } = {}) {
  try {
    return compile(flags, output);
  } catch (error) {
    return error.message;
  }
}

function compile(flags, output) {
  if (process.platform !== 'linux') return 'the linux driver is for Linux';
  if (modifiedMs(output) > Math.max(...INPUTS.map(modifiedMs))) return undefined;
  const headers = findHeaders();
  if (headers === undefined) return `there is no node_api.h beside ${process.execPath}`;
  mkdirSync(dirname(output), { recursive: true });
  // Another process may load it or build it at the same time: what has the final name is whole.
  const draft = `${output}.${process.pid}`;
  const { status, stderr, error } = spawnSync(
    process.env['CC'] ?? 'cc',
    [...FLAGS, ...flags, `-I${headers}`, ...INPUTS.filter((path) => path.endsWith('.c')), '-o', draft],
    { encoding: 'utf8', timeout: COMPILE_MS_MAX }
  );
  if (status === 0) return void renameSync(draft, output);
  rmSync(draft, { force: true });
  return error ? `there is no C compiler (${error.message})` : `the compiler failed:\n${stderr}`;
}

function findHeaders() {
  const folders = [process.execPath, realpathSync(process.execPath)].map((path) =>
    join(dirname(dirname(path)), 'include/node')
  );
  return [...folders, '/usr/include/node'].find((folder) => existsSync(join(folder, 'node_api.h')));
}

/** 0 for what is not there. */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const why = buildAddon();
  if (why !== undefined) console.error(`stampede: the linux driver is not built: ${why}`);
}
