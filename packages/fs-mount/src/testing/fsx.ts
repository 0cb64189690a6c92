import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
  writeSync
} from 'node:fs';
import { parseArgs } from 'node:util';

/*
 * Random reads, writes, appends, truncations and re-openings of one file, compared with a model after each step. A
 * process of its own: it uses the file synchronously, which the process that serves the mount never may.
 *
 *   node fsx.js --file PATH [--seed N] [--operations N] [--size BYTES]
 *
 * Exit code 1 and the seed, step and range on the first difference.
 */

interface Step {
  readonly name: string;
  readonly weight: number;
  readonly run: () => string;
}

const { values } = parseArgs({
  options: {
    file: { type: 'string' },
    seed: { type: 'string', default: '1' },
    operations: { type: 'string', default: '10000' },
    size: { type: 'string', default: String(256 * 1024) }
  }
});
const path = values.file ?? fail('--file is needed');
const operationCount = Number(values.operations);
const sizeMax = Number(values.size);
const random = mulberry32(Number(values.seed));

const model = Buffer.alloc(sizeMax);
const scratch = Buffer.alloc(sizeMax);
let size = 0;
let descriptor = openSync(path, 'w+');
let other: number | undefined;

const steps: readonly Step[] = [
  { name: 'read', weight: 30, run: () => readAndCompare(below(sizeMax), below(sizeMax / 4)) },
  { name: 'write', weight: 30, run: () => write(below(sizeMax), 1 + below(sizeMax / 4)) },
  { name: 'small write', weight: 15, run: () => write(below(sizeMax), 1 + below(512)) },
  { name: 'append', weight: 5, run: append },
  { name: 'truncate', weight: 5, run: () => truncate(below(sizeMax)) },
  { name: 'truncate by path', weight: 3, run: () => truncateByPath(below(sizeMax)) },
  { name: 'stat', weight: 5, run: compareSizes },
  { name: 'fsync', weight: 3, run: sync },
  { name: 'open again', weight: 3, run: reopen },
  { name: 'second handle', weight: 3, run: toggleSecondHandle },
  { name: 'read all', weight: 1, run: () => readAndCompare(0, size) }
];
const weightSum = steps.reduce((sum, step) => sum + step.weight, 0);

const log: string[] = [];
for (let index = 0; index < operationCount; index++) {
  const step = chooseStep();
  try {
    log.push(`${index} ${step.name} ${step.run()}`);
  } catch (error) {
    const last = log.slice(-20).join('\n');
    fail(`seed ${values.seed}, step ${index} (${step.name}): ${(error as Error).message}\n${last}`);
  }
  if (log.length > 100) log.splice(0, 50);
}
readAndCompare(0, size);
closeSync(descriptor);
if (other !== undefined) closeSync(other);
console.log(`${operationCount} operations, seed ${values.seed}: no difference`);

function write(offset: number, length: number): string {
  const end = Math.min(sizeMax, offset + length);
  const bytes = model.subarray(offset, end);
  const seed = below(251);
  for (let position = 0; position < bytes.length; position++) bytes[position] = (position + seed) % 251;
  if (offset > size) model.fill(0, size, offset);
  const target = other !== undefined && below(2) === 0 ? other : descriptor;
  const written = writeSync(target, bytes, 0, bytes.length, offset);
  if (written !== bytes.length) throw new Error(`${written} of ${bytes.length} bytes were written`);
  size = Math.max(size, end);
  return `[${offset}, ${end})`;
}

function append(): string {
  const bytes = Buffer.alloc(Math.min(sizeMax - size, 1 + below(2000)), below(256));
  const appending = openSync(path, 'a');
  writeSync(appending, bytes);
  closeSync(appending);
  bytes.copy(model, size);
  size += bytes.length;
  return `${bytes.length} bytes`;
}

function readAndCompare(offset: number, length: number): string {
  const target = other !== undefined && below(2) === 0 ? other : descriptor;
  const expected = model.subarray(Math.min(offset, size), Math.min(size, offset + length));
  const count = length === 0 ? 0 : readSync(target, scratch, 0, Math.min(length, sizeMax), offset);
  const actual = scratch.subarray(0, count);
  if (actual.equals(expected)) return `[${offset}, ${offset + count})`;
  const at = expected.findIndex((byte, index) => byte !== actual[index]);
  throw new Error(
    `read ${count} bytes at ${offset}, expected ${expected.length}; the first difference is at ${offset + at}: ` +
      `${actual[at]} instead of ${expected[at]}`
  );
}

function truncate(length: number): string {
  ftruncateSync(descriptor, length);
  return resized(length);
}

function truncateByPath(length: number): string {
  truncateSync(path, length);
  return resized(length);
}

function resized(length: number): string {
  if (length > size) model.fill(0, size, length);
  const before = size;
  size = length;
  return `${before} to ${length}`;
}

function compareSizes(): string {
  const sizes = [fstatSync(descriptor).size, statSync(path).size];
  if (sizes.some((found) => found !== size)) throw new Error(`sizes ${sizes}, expected ${size}`);
  return String(size);
}

function sync(): string {
  fsyncSync(descriptor);
  return '';
}

function reopen(): string {
  closeSync(descriptor);
  descriptor = openSync(path, 'r+');
  return '';
}

function toggleSecondHandle(): string {
  if (other === undefined) other = openSync(path, 'r+');
  else {
    closeSync(other);
    other = undefined;
  }
  return other === undefined ? 'closed' : 'opened';
}

function chooseStep(): Step {
  let rest = random() * weightSum;
  for (const step of steps) {
    rest -= step.weight;
    if (rest < 0) return step;
  }
  return steps[0]!;
}

function below(limit: number): number {
  return Math.floor(random() * limit);
}

/** A small generator whose whole state is the seed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
