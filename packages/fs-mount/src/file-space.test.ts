import type { ObjectHead } from '@stampede/client';
import t from 'tap';
import { spaceOf } from './file-space.js';
import { Layer } from './layer.js';
import { VirtualClock } from './testing/virtual-clock.js';
import type { UploadSession } from './upload-session.js';
import { WriteMemory } from './write-memory.js';

/* What stat(2) says of a file's space while it has changes: what will be stored, or a guess that is never too little. */

const KIB = 1024;

const ROWS: readonly {
  readonly name: string;
  readonly base?: { readonly size: number; readonly holeBytes?: number };
  readonly layers?: readonly ((layer: Layer) => void)[];
  readonly size: number;
  readonly said: { readonly takenBytes: number; readonly isGuess: boolean };
}[] = [
  { name: 'an empty new file', size: 0, said: exactly(0) },
  { name: 'a stored file', base: { size: 100 }, size: 100, said: exactly(100) },
  { name: 'a stored file with holes', base: { size: 100, holeBytes: 90 }, size: 100, said: exactly(10) },
  {
    name: 'a new file of hole',
    layers: [(layer) => layer.truncate(100 * KIB)],
    size: 100 * KIB,
    said: exactly(0)
  },
  { name: 'a new file', layers: [written(0, 10), written(10, 10)], size: 20, said: exactly(20) },
  { name: 'a new file with a hole', layers: [written(50 * KIB, KIB)], size: 51 * KIB, said: exactly(KIB) },
  { name: 'written over', base: { size: KIB }, layers: [written(10, 10)], size: KIB, said: exactly(KIB) },
  {
    name: 'appended',
    base: { size: KIB, holeBytes: 512 },
    layers: [written(KIB, 9)],
    size: KIB + 9,
    said: exactly(521)
  },
  {
    name: 'written over bytes and holes',
    base: { size: KIB, holeBytes: 512 },
    layers: [written(0, 100)],
    size: KIB,
    said: guessed(612)
  },
  {
    name: 'written over all and behind it',
    base: { size: 10 },
    layers: [written(5, 10)],
    size: 15,
    said: guessed(15)
  },
  {
    name: 'punched',
    base: { size: 100 * KIB },
    layers: [(layer) => layer.punch(0, 50 * KIB, 100 * KIB)],
    size: 100 * KIB,
    said: guessed(100 * KIB)
  },
  {
    name: 'cut',
    base: { size: 100 },
    layers: [(layer) => layer.truncate(50)],
    size: 50,
    said: exactly(50)
  },
  {
    name: 'cut among holes',
    base: { size: 100, holeBytes: 40 },
    layers: [(layer) => layer.truncate(50)],
    size: 50,
    said: guessed(50)
  },
  {
    name: 'emptied and written',
    base: { size: 100, holeBytes: 40 },
    layers: [(layer) => layer.truncate(0), written(0, 7)],
    size: 7,
    said: exactly(7)
  },
  {
    name: 'partly uploaded',
    layers: [uploaded(0, KIB)],
    size: KIB,
    said: guessed(KIB)
  }
];

t.test('the space of a file with changes', (t) => {
  for (const { name, base, layers = [], size, said } of ROWS) {
    const made = layers.map((change) => {
      const layer = new Layer(memory());
      change(layer);
      return layer;
    });
    t.same(spaceOf(base as ObjectHead | undefined, made, size), { size, ...said }, name);
  }
  t.end();
});

function written(offset: number, length: number): (layer: Layer) => void {
  return (layer) => layer.extents.write(offset, new Uint8Array(length));
}

function uploaded(start: number, end: number): (layer: Layer) => void {
  return (layer) => {
    layer.upload = {} as UploadSession;
    layer.uploaded.add(start, end);
  };
}

function exactly(takenBytes: number) {
  return { takenBytes, isGuess: false };
}

function guessed(takenBytes: number) {
  return { takenBytes, isGuess: true };
}

function memory(): WriteMemory {
  return new WriteMemory({
    limitBytes: 2 ** 24,
    deadlineMs: 1000,
    clock: new VirtualClock(),
    onPressure: () => undefined
  });
}
