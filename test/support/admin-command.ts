import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { StampCluster } from './stamp-cluster.js';
import { COMMAND } from './store-process.js';

export interface CommandAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Not what is tested: every command ends by itself long before, also where nothing answers. */
const TIMEOUT_MS = 120_000;

/** Runs `stampede admin …` as an operator does, at the first front end. @throws Error when it does not end. */
export async function runAdmin(stamp: StampCluster, ...words: readonly string[]): Promise<CommandAnswer> {
  const child = spawn(process.execPath, [COMMAND, 'admin', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      STAMPEDE_ENDPOINT: stamp.endpoints[0],
      STAMPEDE_ACCESS_KEY: stamp.credentials.accessKey,
      STAMPEDE_SECRET_KEY: stamp.credentials.secretKey
    }
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => {
    stdout += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  if (signal) throw new Error(`admin ${words.join(' ')} did not end: ${stdout}${stderr}`);
  return { code: Number(code), stdout, stderr };
}
