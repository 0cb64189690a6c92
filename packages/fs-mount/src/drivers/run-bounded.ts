import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

const OUTPUT_CHARACTERS_MAX = 64 * 1024;

export type Outcome =
  /** `code`: absent when a signal ended it. */
  | {
      readonly type: 'ended';
      readonly code: number | undefined;
      readonly out: string;
      readonly complaints: string;
    }
  /** There is no such program here. */
  | { readonly type: 'missing' }
  /** It did not end in time, and was left. */
  | { readonly type: 'late' };

export interface RunBoundedOptions {
  readonly timeoutMs: number;
  /** Leaves it before. @throws The signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program that may wait for a mount which does not answer. The kernel lets such a process not even be killed, and a
 * process whose own thread waits so cannot end: therefore another process does, which is left behind when it is late.
 */
export async function runBounded(
  program: string,
  parameters: readonly string[],
  { timeoutMs, signal }: RunBoundedOptions
): Promise<Outcome> {
  signal?.throwIfAborted();
  const child = spawn(program, parameters, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  const out = textOf(child.stdout);
  const complaints = textOf(child.stderr);
  let stop = () => {};
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      child.once('error', () => resolve({ type: 'missing' }));
      child.once('close', (code) =>
        resolve({ type: 'ended', code: code ?? undefined, out: out(), complaints: complaints() })
      );
      const timer = setTimeout(() => resolve({ type: 'late' }), timeoutMs);
      const aborted = () => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
      stop = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
      };
    });
  } finally {
    stop();
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}

/** What came from the stream so far, as far as it is kept. */
function textOf(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (more: string) => {
    text = (text + more).slice(0, OUTPUT_CHARACTERS_MAX);
  });
  return () => text;
}
