import { runBounded } from './run-bounded.js';

/** Run with the mount's directory as their argument. Each asks the process that serves the mount, never the kernel's caches. */
const QUESTIONS = {
  /** The numbers of statfs(2), for which a drive may have to ask its store. */
  space: 'fs.statfsSync(directory)',
  /** The text of `.stampede/stats`, which a drive knows by itself. */
  stats: "process.stdout.write(fs.readFileSync(directory + '/.stampede/stats'))",
  /** Answered when everything is stored. */
  sync: "fs.fsyncSync(fs.openSync(directory, 'r'))"
} as const;
const FAILED = 3;

export type MountQuestion = keyof typeof QUESTIONS;

export type MountAnswer =
  | { readonly type: 'answered'; readonly text: string }
  /** `code`: the name of the errno; absent when who asked was ended. */
  | { readonly type: 'failed'; readonly code: string | undefined }
  /** There was no answer in time. */
  | { readonly type: 'silent' };

export interface AskMountOptions {
  readonly timeoutMs: number;
  /** Asks no longer. @throws The signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Asks a mount something by another process: what waits for a mount that never answers cannot be ended. */
export async function askMount(
  directory: string,
  question: MountQuestion,
  options: AskMountOptions
): Promise<MountAnswer> {
  const script = `
    const fs = require('node:fs');
    const directory = process.argv[1];
    try { ${QUESTIONS[question]} } catch (error) { process.stdout.write(error.code); process.exitCode = ${FAILED}; }`;
  const outcome = await runBounded(process.execPath, ['-e', script, directory], options);
  if (outcome.type === 'late') return { type: 'silent' };
  if (outcome.type === 'missing') return { type: 'failed', code: undefined };
  const { code, out } = outcome;
  if (code === 0) return { type: 'answered', text: out };
  return { type: 'failed', code: code === FAILED ? out : undefined };
}
