import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../store-process.js';

/** Calls of one script; a call that never returns is an answer as well. */
const TIMEOUT_MS = 120_000;

/** Compiles the program into a folder and returns where it is. */
export function buildFileCalls(folder: string): string {
  const program = join(folder, 'file-calls');
  const source = join(ROOT, 'test/support/exerciser/file-calls.c');
  execFileSync('cc', ['-O2', '-Wall', '-o', program, source], { stdio: ['ignore', 'inherit', 'inherit'] });
  return program;
}

export interface FileCallsOptions {
  readonly program: string;
  /** Made when it is not there. */
  readonly directory: string;
  /** Refuses what a drive is known to refuse, so that both give the same answers. */
  readonly isModel: boolean;
  /** Nothing stays open when a directory is removed or replaced. */
  readonly closesFirst: boolean;
  /** The calls are those of a user without rights; only root can do this. */
  readonly isUser?: boolean;
}

/** Makes the calls of a script and returns what each answered. */
export async function runFileCalls(
  { program, directory, isModel, closesFirst, isUser = false }: FileCallsOptions,
  script: readonly string[]
): Promise<string[]> {
  const flags = [
    ...(isModel ? ['model'] : []),
    ...(closesFirst ? ['close'] : []),
    ...(isUser ? ['user'] : [])
  ];
  const child = spawn(program, [directory, ...flags], { timeout: TIMEOUT_MS });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  child.stderr.on('data', (part: Buffer) => parts.push(part));
  // A program that ended early shows in its answers.
  child.stdin.on('error', () => undefined);
  child.stdin.end(script.map((line) => `${line}\n`).join(''));
  const end = await new Promise<string>((resolve) =>
    child.once('close', (code, signal) => resolve(String(signal ?? code)))
  );
  const answers = Buffer.concat(parts).toString().split('\n').slice(0, -1);
  return end === '0' ? answers : [...answers, `the program ended with ${end}`];
}
