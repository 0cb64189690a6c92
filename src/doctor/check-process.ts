import { readFile } from 'node:fs/promises';
import type { Check } from './check.js';

const NODE_MIN: readonly [number, number] = [20, 19];
const OPEN_FILES_MIN = 512;
const OPEN_FILES_GOOD = 4096;

export function checkNode(version: string): Check {
  const name = 'node';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]))
    return { name, verdict: 'ok', message: version };
  return {
    name,
    verdict: 'fail',
    message: `${version} is too old`,
    fix: `install Node ${NODE_MIN.join('.')} or newer (https://nodejs.org)`
  };
}

/** How many files this process may have open: each open file of a drive and each extent is one. */
export async function checkOpenFiles(limitsFile = '/proc/self/limits'): Promise<Check> {
  const name = 'open files';
  const text = await readFile(limitsFile, 'utf8').catch(() => '');
  const word = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  if (word === undefined)
    return { name, verdict: 'warn', message: 'the limit is unknown', fix: 'see "ulimit -n"' };
  const limit = word === 'unlimited' ? Number.POSITIVE_INFINITY : Number(word);
  const message = `at most ${word}`;
  if (limit >= OPEN_FILES_GOOD) return { name, verdict: 'ok', message };
  const fix = `raise it: ulimit -n ${OPEN_FILES_GOOD}`;
  return { name, verdict: limit >= OPEN_FILES_MIN ? 'warn' : 'fail', message, fix };
}
