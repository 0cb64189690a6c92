import { createServer } from 'node:net';
import { LIMITS } from '@stampede/client';
import type { Check } from './check.js';

const ANSWER_TIMEOUT_MS = 2000;

export interface PortFacts {
  readonly port: number;
  readonly nowMs: () => number;
}

/** Whether a store could listen there, or does already; and if it does, whether its clock and ours agree. */
export async function checkPort({ port, nowMs }: PortFacts): Promise<readonly Check[]> {
  const name = 'port';
  const code = await whyNotFree(port);
  if (code === undefined) return [{ name, verdict: 'ok', message: `${port} is free` }];
  if (code === 'EACCES')
    return [
      {
        name,
        verdict: 'fail',
        message: `you may not listen on ${port}`,
        fix: 'choose one above 1023 with --port'
      }
    ];
  if (code !== 'EADDRINUSE')
    return [
      {
        name,
        verdict: 'fail',
        message: `${port} cannot be listened on (${code})`,
        fix: 'choose another with --port'
      }
    ];
  const answeredAtMs = await storeTime(port);
  if (answeredAtMs === undefined)
    return [
      {
        name,
        verdict: 'fail',
        message: `${port} is in use by something that is no store`,
        fix: `stop it ("ss -ltnp sport = :${port}" names it), or choose another port with --port`
      }
    ];
  return [{ name, verdict: 'ok', message: `a store answers on ${port}` }, checkSkew(answeredAtMs - nowMs())];
}

/** A clock that is far off makes others refuse what we sign, and files look new or old. */
export function checkClock(nowMs: number): Check {
  const name = 'clock';
  const year = new Date(nowMs).getUTCFullYear();
  if (year >= 2025 && year < 2100) return { name, verdict: 'ok', message: new Date(nowMs).toISOString() };
  return {
    name,
    verdict: 'fail',
    message: `this machine believes it is the year ${year}`,
    fix: 'set it (timedatectl set-ntp true, or date -s)'
  };
}

function checkSkew(skewMs: number): Check {
  const name = 'clock of the store';
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  if (Math.abs(skewMs) < LIMITS.clockSkewMs)
    return { name, verdict: 'ok', message: `it agrees with ours to ${Math.max(1, seconds)} s` };
  return {
    name,
    verdict: 'fail',
    message: `it is ${seconds} s off ours: it refuses what we sign`,
    fix: 'set both by the network (timedatectl set-ntp true)'
  };
}

/** The code of the error; undefined for a free one. */
export function whyNotFree(port: number, host = '127.0.0.1'): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** The time a store says it is; undefined when what answers is none. */
async function storeTime(port: number): Promise<number | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/health/live`, {
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      headers: { connection: 'close' }
    });
    await answer.arrayBuffer();
    const atMs = Date.parse(answer.headers.get('date') ?? '');
    return answer.ok && !Number.isNaN(atMs) ? atMs : undefined;
  } catch {
    return undefined;
  }
}
