import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { createStoreClient } from '@stampede/client';
import { askMount, findMount, mount, unmountDirectory } from '@stampede/fs-mount';
import { commands } from './commands/index.js';
import { readEnvironment } from './config.js';
import { runProgram } from './program.js';
import { DAEMON_VARIABLE, reportReady, startDaemon } from './start-daemon.js';
import type { World } from './world.js';

/* The composition root: the only file that knows all packages, and the real world that commands run in. */

const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));
/** Collects when garbage is half of what is alive; by itself V8 waits until it is three times as much. */
setFlagsFromString('--heap-growing-percent=50');
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Where `package.json` is: this file runs from the sources and from the build. */
function findRoot(directory: string): string {
  for (let above = directory; above !== dirname(above); above = dirname(above)) {
    const text = readText(join(above, 'package.json'));
    if (text !== undefined && JSON.parse(text).name === 'stampede') return above;
  }
  return directory;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** How to call this command from here: by its name when it is installed, else by its path in the checkout. */
function commandName(): string {
  if (ROOT.includes('/node_modules/')) return 'stampede';
  const script = join(ROOT, 'bin/stampede');
  const path = relative(process.cwd(), script);
  return path.startsWith('..') ? script : `./${path}`;
}

function onSignal(listener: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}

function systemWorld(words: readonly string[]): World {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: readEnvironment(),
    workingDirectory: process.cwd(),
    commandName: commandName(),
    nowMs: Date.now,
    connect: async ({ endpoint, accessKey, secretKey }) =>
      createStoreClient({ endpoint, accessKey, secretKey }),
    // Loaded only when wanted: most commands are clients, and end sooner than the server is loaded.
    startStamp: async (options) => (await import('@stampede/server')).startStamp(options),
    startServer: async (options) => (await import('./server/start-configured.js')).startConfigured(options),
    mount,
    findMount,
    askMount,
    unmount: unmountDirectory,
    startDaemon: (request) => startDaemon({ program: fileURLToPath(import.meta.url), words }, request),
    reportReady: process.env[DAEMON_VARIABLE] === undefined ? undefined : reportReady,
    fuseDevice: '/dev/fuse',
    onSignal,
    exit: process.exit
  };
}

async function main(): Promise<number> {
  const { version } = JSON.parse(readText(join(ROOT, 'package.json')) ?? '{"version":"unknown"}');
  try {
    const words = process.argv.slice(2);
    return await runProgram(words, { version, commands, world: systemWorld(words) });
  } catch (error) {
    // Only what comes before there is a program to tell it: a wrong environment.
    process.stderr.write(`stampede: ${error instanceof Error ? error.message : error}\n`);
    return 2;
  }
}

process.exit(await main());
