import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync
} from 'node:fs';
import { parseArgs } from 'node:util';
import { seededRandom } from '@stampede/client/testing';

/*
 * Does the same random operations to two files, one on a drive and one on a local disk, and compares what each step shows.
 * A process of its own: it uses the files synchronously, which the process that serves the mount never may.
 *
 *   node fsx-program.js --drive PATH --local PATH --seed N --operations N --size BYTES
 *
 * Exit code 1, the seed and the last operations on the first difference.
 */

interface Step {
  readonly name: string;
  readonly weight: number;
  /** Returns what it did, for the log. */
  readonly run: () => string;
}

/** One of the two files with what is open of it. */
interface Side {
  path: string;
  readonly homePath: string;
  readonly bytes: Buffer;
  descriptor: number;
  second: number | undefined;
  /** Reads and writes that pass the page cache by, on the drive only: local disks want them aligned. */
  readonly directFlag: number;
}

const LOGGED_COUNT = 40;

const { values } = parseArgs({
  options: {
    drive: { type: 'string' },
    local: { type: 'string' },
    seed: { type: 'string' },
    operations: { type: 'string' },
    size: { type: 'string' }
  }
});
const seed = Number(values.seed);
const operationCount = Number(values.operations);
const sizeMax = Number(values.size);
const random = seededRandom(seed);
const payload = Buffer.alloc(sizeMax);
const drive = openSide(values.drive!, constants.O_DIRECT);
const local = openSide(values.local!, 0);
let size = 0;

const steps: readonly Step[] = [
  { name: 'read', weight: 25, run: () => readAndCompare(below(sizeMax), 1 + below(sizeMax / 4)) },
  {
    name: 'read past the cache',
    weight: 10,
    run: () => readDirectly(below(sizeMax), 1 + below(sizeMax / 4))
  },
  { name: 'write', weight: 25, run: () => write(below(sizeMax), 1 + below(sizeMax / 4)) },
  { name: 'small write', weight: 15, run: () => write(below(sizeMax), 1 + below(512)) },
  {
    name: 'write past the cache',
    weight: 3,
    run: () => writeDirectly(below(sizeMax), 1 + below(sizeMax / 8))
  },
  { name: 'append', weight: 5, run: append },
  { name: 'truncate', weight: 4, run: () => truncate(below(sizeMax)) },
  { name: 'truncate by path', weight: 3, run: () => truncateByPath(below(sizeMax)) },
  { name: 'stat', weight: 5, run: compareSizes },
  { name: 'fsync', weight: 3, run: sync },
  { name: 'open again', weight: 3, run: reopen },
  { name: 'second handle', weight: 3, run: toggleSecondHandle },
  { name: 'rename', weight: 2, run: rename },
  { name: 'replace', weight: 1, run: () => replace(below(sizeMax / 4)) },
  { name: 'remove and make again', weight: 1, run: removeAndMakeAgain },
  { name: 'read all', weight: 1, run: () => readAndCompare(0, sizeMax) }
];
const weightSum = steps.reduce((sum, step) => sum + step.weight, 0);

const log: string[] = [];
for (let index = 0; index < operationCount; index++) {
  const step = chooseStep();
  try {
    log.push(`${index} ${step.name} ${step.run()}`);
  } catch (error) {
    const last = log.slice(-LOGGED_COUNT).join('\n');
    console.error(`seed ${seed}, operation ${index} (${step.name}): ${(error as Error).message}\n${last}`);
    process.exit(1);
  }
  if (log.length > 2 * LOGGED_COUNT) log.splice(0, LOGGED_COUNT);
}
closeAll(drive);
closeAll(local);
console.log(`${operationCount} operations with seed ${seed}: no difference`);

function write(offset: number, length: number): string {
  return writeTo(offset, length, usesSecond() ? (side) => side.second! : (side) => side.descriptor);
}

function writeDirectly(offset: number, length: number): string {
  const opened = both((side) => openSync(side.path, constants.O_WRONLY | side.directFlag));
  const done = writeTo(offset, length, (side) => opened[side === drive ? 0 : 1]);
  for (const descriptor of opened) closeSync(descriptor);
  return done;
}

function writeTo(offset: number, length: number, descriptorOf: (side: Side) => number): string {
  const end = Math.min(sizeMax, offset + length);
  const bytes = fillPayload(end - offset);
  both((side) => writeSync(descriptorOf(side), bytes, 0, bytes.length, offset));
  size = Math.max(size, end);
  return `[${offset}, ${end})`;
}

function append(): string {
  const bytes = fillPayload(Math.min(sizeMax - size, 1 + below(2000)));
  both((side) => {
    const appending = openSync(side.path, 'a');
    writeSync(appending, bytes);
    closeSync(appending);
  });
  size += bytes.length;
  return `${bytes.length} bytes`;
}

function readAndCompare(offset: number, length: number): string {
  return readFrom(offset, length, usesSecond() ? (side) => side.second! : (side) => side.descriptor);
}

function readDirectly(offset: number, length: number): string {
  const opened = both((side) => openSync(side.path, constants.O_RDONLY | side.directFlag));
  const done = readFrom(offset, length, (side) => opened[side === drive ? 0 : 1]);
  for (const descriptor of opened) closeSync(descriptor);
  return done;
}

function readFrom(offset: number, length: number, descriptorOf: (side: Side) => number): string {
  const wanted = Math.min(length, sizeMax);
  const [seen, expected] = both((side) => {
    const count = readSync(descriptorOf(side), side.bytes, 0, wanted, offset);
    return side.bytes.subarray(0, count);
  });
  if (seen.equals(expected)) return `[${offset}, ${offset + seen.length})`;
  const at = expected.findIndex((byte, index) => byte !== seen[index]);
  throw new Error(
    `read ${seen.length} bytes at ${offset}, expected ${expected.length}; the first difference is at ` +
      `${offset + at}: ${seen[at]} instead of ${expected[at]}; the file has ${size} bytes`
  );
}

function truncate(length: number): string {
  both((side) => ftruncateSync(side.descriptor, length));
  return resized(length);
}

function truncateByPath(length: number): string {
  both((side) => truncateSync(side.path, length));
  return resized(length);
}

function resized(length: number): string {
  const before = size;
  size = length;
  return `${before} to ${length}`;
}

function compareSizes(): string {
  const sizes = both((side) => [fstatSync(side.descriptor).size, statSync(side.path).size]);
  const isRight = sizes.flat().every((found) => found === size);
  if (!isRight) throw new Error(`sizes ${sizes}, expected ${size}`);
  return String(size);
}

function sync(): string {
  both((side) => fsyncSync(side.descriptor));
  return '';
}

function reopen(): string {
  both((side) => {
    closeSync(side.descriptor);
    side.descriptor = openSync(side.path, 'r+');
  });
  return '';
}

function toggleSecondHandle(): string {
  both((side) => {
    if (side.second !== undefined) closeSync(side.second);
    side.second = side.second === undefined ? openSync(side.path, 'r+') : undefined;
  });
  return drive.second === undefined ? 'closed' : 'opened';
}

/** To the other name and later back, while it is open. */
function rename(): string {
  both((side) => {
    const to = side.path.endsWith('.other') ? side.homePath : `${side.homePath}.other`;
    renameSync(side.path, to);
    side.path = to;
  });
  return drive.path;
}

/** As editors save: a new file takes the name; who has the old one open is closed. */
function replace(length: number): string {
  const bytes = fillPayload(length);
  both((side) => {
    writeFileSync(`${side.homePath}.new`, bytes);
    renameSync(`${side.homePath}.new`, side.path);
    openAnew(side, 'r+');
  });
  size = length;
  return `${length} bytes`;
}

/** What was removed is still read and written by who has it open. */
function removeAndMakeAgain(): string {
  both((side) => unlinkSync(side.path));
  write(below(sizeMax), 1 + below(1000));
  readAndCompare(0, sizeMax);
  both((side) => openAnew(side, 'w+'));
  size = 0;
  return '';
}

function openAnew(side: Side, flags: string): void {
  closeAll(side);
  side.descriptor = openSync(side.path, flags);
  side.second = undefined;
}

function closeAll(side: Side): void {
  closeSync(side.descriptor);
  if (side.second !== undefined) closeSync(side.second);
}

/** Does it to both files, the drive's first. */
function both<Result>(run: (side: Side) => Result): readonly [Result, Result] {
  return [run(drive), run(local)];
}

/** Drawn once for both. */
function usesSecond(): boolean {
  return drive.second !== undefined && below(2) === 0;
}

function openSide(path: string, directFlag: number): Side {
  const descriptor = openSync(path, 'w+');
  return { path, homePath: path, bytes: Buffer.alloc(sizeMax), descriptor, second: undefined, directFlag };
}

function fillPayload(length: number): Buffer {
  const bytes = payload.subarray(0, length);
  const start = below(251);
  for (let position = 0; position < length; position++) bytes[position] = (position + start) % 251;
  return bytes;
}

function chooseStep(): Step {
  let rest = random.fraction() * weightSum;
  for (const step of steps) {
    rest -= step.weight;
    if (rest < 0) return step;
  }
  return steps[0]!;
}

function below(limit: number): number {
  return random.integer(limit);
}
