import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectories } from './data-directory.js';
import { CommandError } from './usage-error.js';

/** Set for a process that was started to go on in the background. */
export const DAEMON_VARIABLE = 'STAMPEDE_DAEMON';
const SAID_BYTES_MAX = 16 * 1024;

export interface DaemonCommand {
  /** The program and its words. */
  readonly program: string;
  readonly words: readonly string[];
}

export interface DaemonRequest {
  /** Gets what it says; made with its folder when it is missing. */
  readonly logFile: string;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
}

export type DaemonStart =
  | { readonly type: 'ready'; readonly pid: number }
  /** `message`: the last that it said. */
  | { readonly type: 'failed'; readonly exitCode: number; readonly message: string };

/** Starts a command in a session of its own, and waits until it says that it is ready or ends. */
export async function startDaemon(
  { program, words }: DaemonCommand,
  { logFile, signal }: DaemonRequest
): Promise<DaemonStart> {
  const log = await openLogFile(logFile);
  try {
    const { size } = await log.stat();
    const child = spawn(process.execPath, [...process.execArgv, program, ...words], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      env: { ...process.env, [DAEMON_VARIABLE]: '1' }
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const isReady = await Promise.race([once(child, 'message').then(() => true), ended.then(() => false)]);
    signal.removeEventListener('abort', stop);
    if (isReady) {
      child.unref();
      if (child.connected) child.disconnect();
      return { type: 'ready', pid: child.pid! };
    }
    const [code, killedBy] = await ended;
    const said = await lastLine(logFile, size);
    const message = said ?? `it ended with ${killedBy ?? code}; see ${logFile}`;
    return { type: 'failed', exitCode: code || 1, message };
  } finally {
    await log.close();
  }
}

/** Tells who started this process that it is ready; from here on it is on its own. */
export function reportReady(): void {
  // A folder that somebody wants to remove or unmount is not to be held.
  process.chdir('/');
  if (!process.send) return;
  // Whoever started it may be gone already.
  process.send('ready', undefined, undefined, () => process.connected && process.disconnect?.());
}

async function openLogFile(path: string): Promise<FileHandle> {
  try {
    await makeDirectories(dirname(path));
    return await open(path, 'a', 0o600);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new CommandError(`the log ${path} cannot be written (${code}); choose another with --log-file`);
  }
}

/** The last line that was written from `offset` on, without the name of the program. */
async function lastLine(path: string, offset: number): Promise<string | undefined> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const from = Math.max(offset, size - SAID_BYTES_MAX);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    return lines.findLast((line) => line.startsWith('stampede: '))?.slice('stampede: '.length);
  } finally {
    await file.close();
  }
}
