import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from 'node:fs';
import { join } from 'node:path';
import { startStamp } from '@stampede/server';
import { StoreError } from '@stampede/server/api';
import t from 'tap';
import { scratch } from '../support/store-process.js';

/*
 * SEMANTICS: damage gives a clear error or is repaired; never wrong bytes, never a store that cannot say what is wrong.
 * A stamp is filled and closed; copies of its folder are damaged in one way each and opened again.
 */

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const FLIPS = Number(process.env['FLIPS'] ?? 60);
const BUCKET = 'damage';

const objects = new Map<string, Buffer>(
  [0, 1, 100, 4096, 65_536, 70_000, 300_000, 5_000_000].flatMap((size) =>
    [0, 1, 2].map((copy): [string, Buffer] => [
      `dir/object-${size}-${copy}`,
      Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 7 + copy + size) % 251))
    ])
  )
);

interface Outcome {
  /** Why the stamp did not open, if it did not. */
  readonly refused?: StoreError;
  readonly intact: number;
  readonly errors: readonly StoreError[];
  readonly wrong: readonly string[];
}

for (const nodes of [1, 3]) {
  t.test(`with ${nodes} extent node${nodes > 1 ? 's' : ''}`, async (t) => {
    t.comment(`seed ${SEED}`);
    using folder = scratch();
    const pristine = join(folder.path, 'pristine');
    await fill(pristine, nodes);
    const extents = filesBelow(join(pristine, 'nodes')).filter(
      (file) => statSync(join(pristine, 'nodes', file)).size > 0 && /extent/.test(file)
    );
    t.ok(extents.length >= nodes * 2, 'there are extent files');
    let state = SEED >>> 0;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };

    const damaged = async (name: string, damage: (copy: string) => void): Promise<Outcome> => {
      const copy = join(folder.path, 'copy');
      cpSync(pristine, copy, { recursive: true });
      damage(copy);
      const outcome = await inspect(copy, nodes);
      rmSync(copy, { recursive: true, force: true });
      t.same(outcome.wrong, [], `${name}: no wrong bytes`);
      if (nodes === 3)
        t.equal(outcome.intact, objects.size, `${name}: everything is read from another replica`);
      return outcome;
    };

    await t.test('a flipped byte of an extent file gives the right bytes or an error', async () => {
      for (let flip = 0; flip < FLIPS; flip++) {
        const file = extents[random(extents.length)]!;
        const path = join('nodes', file);
        const offset = random(statSync(join(pristine, path)).size);
        await damaged(`byte ${offset} of ${file}`, (copy) => {
          const bytes = readFileSync(join(copy, path));
          bytes[offset]! ^= 1 << random(8);
          writeFileSync(join(copy, path), bytes);
        });
      }
    });

    await t.test('a truncated extent file gives the right bytes or an error', async () => {
      for (const file of extents) {
        const size = statSync(join(pristine, 'nodes', file)).size;
        await damaged(`${file} cut`, (copy) => truncateSync(join(copy, 'nodes', file), random(size)));
      }
    });

    await t.test('a missing extent file gives the right bytes or an error', async () => {
      for (const file of extents)
        await damaged(`${file} missing`, (copy) => rmSync(join(copy, 'nodes', file)));
    });

    await t.test('a lost index is rebuilt from the log', async (t) => {
      const outcome = await damaged('index lost', (copy) =>
        rmSync(join(copy, 'index'), { recursive: true, force: true })
      );
      t.equal(outcome.intact, objects.size, 'every object is there');
    });

    await t.test('an unreadable index is rebuilt from the log', async (t) => {
      const outcome = await damaged('index unreadable', (copy) => {
        for (const file of filesBelow(join(copy, 'index')))
          if (/CURRENT|MANIFEST|\.log$|\.ldb$/.test(file))
            writeFileSync(join(copy, 'index', file), 'rubbish');
      });
      t.equal(outcome.intact, objects.size, 'every object is there');
    });
  });
}

async function fill(directory: string, nodes: number): Promise<void> {
  const stamp = await startStamp({ directory, nodeCount: nodes, extentBytesMax: 8 * 2 ** 20 });
  await stamp.calls.buckets.create({ bucket: BUCKET });
  for (const [key, body] of objects) await stamp.calls.objects.put({ bucket: BUCKET, key, body });
  await stamp.close();
}

async function inspect(directory: string, nodes: number): Promise<Outcome> {
  let stamp: Awaited<ReturnType<typeof startStamp>>;
  try {
    stamp = await startStamp({ directory, nodeCount: nodes, extentBytesMax: 8 * 2 ** 20 });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return {
      refused: error,
      intact: 0,
      errors: [error],
      wrong: error.message.length < 20 ? [`says too little: ${error.message}`] : []
    };
  }
  const errors: StoreError[] = [];
  const wrong: string[] = [];
  let intact = 0;
  for (const [key, body] of objects) {
    try {
      const read = await stamp.calls.objects.read({ bucket: BUCKET, key });
      if (Buffer.from(read.body).equals(body)) intact += 1;
      else wrong.push(`${key}: ${read.body.length} bytes differ`);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === 'NoSuchKey') wrong.push(`${key} vanished`);
      errors.push(error);
    }
  }
  await stamp.close();
  return { intact, errors, wrong };
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
}
