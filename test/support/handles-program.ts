import {
  closeSync,
  constants,
  fstatSync,
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
 * Opens one file many times in every way, on a drive and on a local disk, and compares what each handle shows of what the
 * others do to it. Between times nothing is open and the file is read through, so that it is in the drive's disk cache.
 *
 *   node handles-program.js --drive PATH --local PATH --seed N --operations N --size BYTES
 */

interface Handle {
  /** On the drive and on the local disk. */
  readonly pair: readonly [number, number];
  readonly isReadable: boolean;
  readonly isWritable: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_DIRECT } = constants;
const HANDLE_COUNT_MAX = 6;
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
const sizeMax = Number(values.size);
const random = seededRandom(seed);
const paths = [values.drive!, values.local!] as const;
const buffers = [Buffer.alloc(sizeMax * 2), Buffer.alloc(sizeMax * 2)] as const;
let handles: Handle[] = [];

const steps: readonly (readonly [string, number, () => string])[] = [
  ['open to read', 14, () => open(O_RDONLY)],
  ['open to write', 3, () => open(O_WRONLY)],
  ['open to append', 4, () => open(O_WRONLY | O_APPEND)],
  ['open for both', 3, () => open(O_RDWR)],
  ['close', 10, close],
  ['read', 30, read],
  ['write', 15, write],
  ['cut', 2, cut],
  ['truncate by path', 1, truncate],
  ['stat', 6, compareSizes],
  ['rename', 1, rename],
  ['replace', 1, replace],
  ['remove and make again', 1, removeAndMakeAgain],
  ['rest', 3, rest]
];

const first = payload(sizeMax);
for (const path of paths) writeFileSync(path, first);
const log: string[] = [];
for (let index = 0; index < Number(values.operations); index++) {
  const [name, , run] = choose();
  try {
    log.push(`${index} ${name} ${run()}`);
  } catch (error) {
    console.error(`seed ${seed}, operation ${index} (${name}): ${(error as Error).message}`);
    console.error(log.slice(-LOGGED_COUNT).join('\n'));
    process.exit(1);
  }
}
rest();
console.log(`${values.operations} operations with seed ${seed}: no difference`);

function open(flags: number): string {
  if (handles.length >= HANDLE_COUNT_MAX) return 'no more';
  const pair = [openSync(paths[0], flags), openSync(paths[1], flags)] as const;
  const isReadable = (flags & O_WRONLY) === 0;
  handles.push({ pair, isReadable, isWritable: flags !== O_RDONLY });
  return `as ${pair[0]}`;
}

function close(): string {
  const [handle] = handles.splice(below(handles.length), 1);
  handle?.pair.forEach(closeSync);
  return String(handle?.pair[0]);
}

function read(): string {
  const handle = pick((one) => one.isReadable);
  return handle ? readAt(handle, below(sizeMax), 1 + below(sizeMax / 2)) : 'nothing';
}

function readAt({ pair }: Handle, offset: number, length: number): string {
  const [count, expected] = pair.map((fd, side) => readSync(fd, buffers[side]!, 0, length, offset));
  const what = `${pair[0]} [${offset}, ${offset + length})`;
  if (count !== expected) throw new Error(`${what}: ${count} bytes, not ${expected}`);
  const [got, wanted] = buffers.map((buffer) => buffer.subarray(0, count));
  if (got!.equals(wanted!)) return what;
  throw new Error(`${what}: other bytes from ${offset + got!.findIndex((byte, at) => byte !== wanted![at])}`);
}

function write(): string {
  const handle = pick((one) => one.isWritable);
  if (!handle) return 'nothing';
  const offset = below(sizeMax);
  const bytes = payload(1 + below(random.fraction() < 0.3 ? sizeMax / 3 : 3000));
  for (const fd of handle.pair) writeSync(fd, bytes, 0, bytes.length, offset);
  return `${handle.pair[0]} [${offset}, ${offset + bytes.length})`;
}

function cut(): string {
  const handle = pick((one) => one.isWritable);
  const size = Math.floor(sizeMax / 2) + below(sizeMax / 2);
  if (handle) for (const fd of handle.pair) ftruncateSync(fd, size);
  return `${handle?.pair[0]} to ${size}`;
}

function truncate(): string {
  const size = sizeMax / 2 + below(sizeMax / 2);
  for (const path of paths) truncateSync(path, size);
  return `to ${size}`;
}

function compareSizes(): string {
  const sizes = paths.map((path) => statSync(path).size);
  if (sizes[0] !== sizes[1]) throw new Error(`${sizes[0]} bytes by name, not ${sizes[1]}`);
  for (const { pair } of handles) {
    const [size, expected] = pair.map((fd) => fstatSync(fd).size);
    if (size !== expected) throw new Error(`${pair[0]}: ${size} bytes, not ${expected}`);
  }
  return String(sizes[0]);
}

/** There and back again, under the eyes of who has it open. */
function rename(): string {
  return both(
    (path) => renameSync(`${path}-moved`, path),
    (path) => renameSync(path, `${path}-moved`)
  );
}

function replace(): string {
  const bytes = payload(sizeMax / 2 + below(sizeMax / 2));
  return both(
    (path) => renameSync(`${path}-new`, path),
    (path) => writeFileSync(`${path}-new`, bytes)
  );
}

function removeAndMakeAgain(): string {
  const bytes = payload(sizeMax / 2 + below(sizeMax / 2));
  return both((path) => writeFileSync(path, bytes), unlinkSync);
}

/** Nothing is open, and all of the file is read past the kernel's cache, twice: then it is read by the kernel itself. */
function rest(): string {
  for (const { pair } of handles) pair.forEach(closeSync);
  handles = [];
  const size = statSync(paths[0]).size;
  for (const flags of [O_RDONLY | O_DIRECT, O_RDONLY]) {
    const fd = openSync(paths[0], flags);
    const local = openSync(paths[1], O_RDONLY);
    readAt({ pair: [fd, local], isReadable: true, isWritable: false }, 0, size + 10);
    closeSync(fd);
    closeSync(local);
  }
  return `of ${size} bytes`;
}

function both(run: (path: string) => void, before: (path: string) => void): string {
  for (const path of paths) {
    before(path);
    run(path);
  }
  return '';
}

function payload(length: number): Buffer {
  const bytes = Buffer.alloc(Math.floor(length));
  const start = below(251);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 7 + start) % 251;
  return bytes;
}

function choose() {
  let left = random.fraction() * steps.reduce((sum, [, weight]) => sum + weight, 0);
  for (const step of steps) {
    left -= step[1];
    if (left < 0) return step;
  }
  return steps[0]!;
}

function pick(mayBe: (handle: Handle) => boolean): Handle | undefined {
  const those = handles.filter(mayBe);
  return those[below(those.length)];
}

function below(limit: number): number {
  return Math.floor(random.fraction() * limit);
}
