import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { patternAt } from './sink-store.js';

/*
 * Writes a file of any size whose bytes tell where they belong, or checks one, in constant memory. A process of its own,
 * as it uses the file synchronously.
 *
 *   node pattern-program.js write|check PATH BYTES
 */

const STEP_BYTES = 1024 * 1024;
const [verb, path, size] = process.argv.slice(2);
const sizeBytes = Number(size);
const file = openSync(path!, verb === 'write' ? 'w' : 'r');
const seen = Buffer.alloc(STEP_BYTES);
for (let offset = 0; offset < sizeBytes; ) {
  const expected = patternAt(offset, Math.min(STEP_BYTES, sizeBytes - offset));
  const count =
    verb === 'write' ? writeSync(file, expected, 0, expected.length, offset) : check(offset, expected);
  offset += count;
}
if (verb === 'write') fsyncSync(file);
closeSync(file);

function check(offset: number, expected: Buffer): number {
  const count = readSync(file, seen, 0, expected.length, offset);
  const isRight = count > 0 && seen.subarray(0, count).equals(expected.subarray(0, count));
  if (!isRight) throw new Error(`${count} bytes at ${offset} of ${path} are not what was written`);
  return count;
}
