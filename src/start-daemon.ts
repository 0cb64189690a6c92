import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDirectories } from './data-directory.js';
import { CommandError } from './usage-error.js';

/** Set for a process that was started to go on in the background. */
export const DAEMON_VARIABLE = 'STAMPEDE_DAEMON';
const SAID_BYTES_MAX = 16 * 1024;
/** What waits for the kernel cannot even be killed. */
const KILL_MS_MAX = 5000;

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
  /** How long it may take until it is ready, before it is ended. */
  readonly readyMsMax: number;
  /** How long it may take to end when it was told to, before it is killed. */
  readonly endMsMax: number;
}

export type DaemonStart =
  | { readonly type: 'ready'; readonly pid: number }
  /** `message`: the last that it said. */
  | { readonly type: 'failed'; readonly exitCode: number; readonly message: string };

/**
 * Starts a command in a session of its own, and waits until it says that it is ready or ends. One that is not ready in time
 * is ended.
 */
export async function startDaemon(
  { program, words }: DaemonCommand,
  { logFile, signal, readyMsMax, endMsMax }: DaemonRequest
): Promise<DaemonStart> {
  const log = await openLogFile(logFile);
  try {
    const { size } = await log.stat();
    const child = spawn(process.execPath, [...process.execArgv, program, ...words], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      env: { ...process.env, [DAEMON_VARIABLE]: '1' }
    });
    const ended = once(child, 'exit').then(() => 'ended' as const);
    const ready = once(child, 'message').then(() => 'ready' as const);
    const first = await beforeDeadline(Promise.race([ready, ended]), { ms: readyMsMax, signal });
    if (first === 'ready') {
      leave(child);
      return { type: 'ready', pid: child.pid! };
    }
    if (first === 'ended') {
      const said = await lastLine(logFile, size);
      const message = said ?? `it ended with ${child.signalCode ?? child.exitCode}; see ${logFile}`;
      return { type: 'failed', exitCode: child.exitCode || 1, message };
    }
    const hasEnded = await endChild(child, ended, endMsMax);
    const why = signal.aborted ? 'interrupted' : `it was not ready within ${readyMsMax / 1000} s`;
    const then = hasEnded
      ? 'was ended'
      : `does not end: process ${child.pid} waits for the kernel; see what is mounted there`;
    return { type: 'failed', exitCode: 1, message: `${why} and ${then}; see ${logFile}` };
  } finally {
    await log.close();
  }
}

/** Undefined when it comes to neither in time. */
async function beforeDeadline<Result>(
  result: Promise<Result>,
  { ms, signal }: { readonly ms: number; readonly signal?: AbortSignal }
): Promise<Result | undefined> {
  const over = new AbortController();
  const either = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  const late = sleep(ms, undefined, { signal: either }).catch(() => undefined);
  try {
    return await Promise.race([result, late]);
  } finally {
    over.abort();
  }
}

/** Asks it to end, then makes it; false when it goes on nevertheless. */
async function endChild(child: ChildProcess, ended: Promise<'ended'>, endMsMax: number): Promise<boolean> {
  for (const [killedBy, ms] of [
    ['SIGTERM', endMsMax],
    ['SIGKILL', KILL_MS_MAX]
  ] as const) {
    child.kill(killedBy);
    if ((await beforeDeadline(ended, { ms })) === 'ended') return true;
  }
  leave(child);
  return false;
}

/** This process does not wait for it any more. */
function leave(child: ChildProcess): void {
  child.unref();
  if (child.connected) child.disconnect();
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
