import assert from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { ERRNO, FileSystemError, findErrno } from './errno.js';
import type { FileHandle } from './file-handle.js';
import { BUCKET, type Drive, namesIn, pattern, readFile, startDrive } from './testing/drive.js';
import {
  type ModelFile,
  ModelFileSystem,
  parentOf,
  truncateModel,
  writeModel
} from './testing/model-file-system.js';

/*
 * Random programs on a few names, each step compared with a plain model: what operations answer, what handles read, what
 * directories hold, and in the end what the store has. Two forms of writing are mixed in: small, and large enough for uploads.
 */

const NAMES = ['a', 'b', 'd', 'd/x', 'd/y', 'd/e', 'd/e/z', 'b/n'].map((name) => `/${name}`);
const MIB = 1024 * 1024;
const HANDLES_MAX = 4;
const PROGRAM_COUNT = 300;
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

const path = fc.constantFrom(...NAMES);
const slot = fc.nat(HANDLES_MAX - 1);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('create' as const), path, slot }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('open' as const), path, slot, append: fc.boolean() })
  },
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      slot,
      offset: fc.nat(5000),
      length: fc.oneof({ weight: 9, arbitrary: fc.nat(3000) }, { weight: 1, arbitrary: fc.nat(10 * MIB) }),
      seed: fc.nat(250)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('read' as const),
      slot,
      offset: fc.nat(6000),
      length: fc.nat(9000)
    })
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('truncate' as const), slot, size: fc.nat(6000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('punch' as const),
      slot,
      offset: fc.oneof(fc.nat(6000), fc.nat(10 * MIB)),
      length: fc.oneof(fc.nat(9000), fc.nat(5 * MIB))
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('clone' as const),
      slot,
      source: slot,
      offset: fc.nat(6000),
      sourceOffset: fc.nat(6000),
      length: fc.integer({ min: MIB, max: 3 * MIB })
    })
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('seek' as const), slot, offset: fc.nat(20_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('truncatePath' as const), path, size: fc.nat(6000) })
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('flush' as const), slot }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('close' as const), slot }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('mkdir' as const), path }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('unlink' as const), path, later: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('rmdir' as const), path }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('rename' as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('stat' as const), path }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('utimens' as const), path }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.nat(8000) }) }
);
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never;

interface Opened {
  readonly handle: FileHandle;
  readonly file: ModelFile;
  readonly append: boolean;
}

t.test('does what a plain file system does, whatever the order', { timeout: 120_000 }, async (t) => {
  t.comment(`seed ${SEED}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 1, maxLength: 200, size: 'max' }),
      async (operations) => {
        await using drive = await startDrive({ readMemoryBytes: 16 * MIB, writeMemoryBytes: 16 * MIB });
        const run = new Run(drive);
        for (const step of operations) await run.step(step);
        await run.finish();
      }
    ),
    { numRuns: PROGRAM_COUNT, seed: SEED }
  );
  t.pass(`${PROGRAM_COUNT} programs`);
});

class Run {
  readonly #drive: Drive;
  readonly #model = new ModelFileSystem();
  readonly #opened: (Opened | undefined)[] = [];

  constructor(drive: Drive) {
    this.#drive = drive;
  }

  async step(step: Operation): Promise<void> {
    const { fileSystem, clock } = this.#drive;
    const model = this.#model;
    // Kernels look the parent up first; the file system itself is never asked for a name in what is no directory.
    for (const named of ['path' in step ? step.path : '/', 'to' in step ? step.to : '/'])
      if (!model.isDirectory(parentOf(named))) return;
    switch (step.type) {
      case 'create':
        return this.#create(step.path, step.slot);
      case 'open':
        return this.#open(step.path, step.slot, step.append);
      case 'write':
      case 'read':
      case 'truncate':
      case 'flush':
        return this.#use(step);
      case 'punch':
        return this.#punch(step);
      case 'clone':
        return this.#clone(step);
      case 'seek':
        return this.#seek(step);
      case 'close':
        return this.#close(step.slot);
      case 'truncatePath': {
        const file = model.file(step.path);
        if (!file) return;
        await fileSystem.truncate(step.path, step.size);
        return truncateModel(file, step.size);
      }
      case 'mkdir':
        return same(fileSystem.mkdir(step.path, 0o755), model.mkdir(step.path));
      case 'unlink':
        return same(fileSystem.unlink(step.path, { mayBeReplaced: step.later }), model.unlink(step.path));
      case 'rmdir':
        return same(fileSystem.rmdir(step.path), model.rmdir(step.path));
      case 'rename':
        return same(fileSystem.rename(step.path, step.to), model.rename(step.path, step.to));
      case 'stat':
        return this.#stat(step.path);
      case 'utimens':
        if (!model.exists(step.path)) return;
        return fileSystem.utimens(step.path, undefined, { seconds: 5, nanoseconds: 0 });
      case 'pass':
        return clock.advance(step.ms);
      default:
        throw new Error(`unknown ${step satisfies never}`);
    }
  }

  async finish(): Promise<void> {
    const { fileSystem, store, events } = this.#drive;
    for (let slot = 0; slot < HANDLES_MAX; slot++) await this.#close(slot);
    for (const path of this.#model.paths()) {
      if (this.#model.isDirectory(path))
        assert.deepEqual(await namesIn(fileSystem, path), this.#model.names(path), path);
      else assert.ok((await readFile(fileSystem, path)).equals(this.#model.file(path)!.content), path);
    }
    assert.deepEqual(await fileSystem.flush(), []);
    assert.deepEqual(
      events.filter((event) => event.type !== 'watchLive'),
      []
    );
    assert.equal(fileSystem.status.writeMemoryBytes, 0);
    const { objects } = await store.direct.objects.list({ bucket: BUCKET });
    const files = objects.filter(({ key }) => !key.endsWith('/'));
    const expected = this.#model.paths().filter((path) => !this.#model.isDirectory(path));
    assert.deepEqual(files.map(({ key }) => `/${key}`).sort(), [...expected].sort());
    for (const { key, size, holeBytes = 0 } of files) {
      const { sectorCount, isGuess } = await fileSystem.getattr(`/${key}`);
      assert.deepEqual([sectorCount, isGuess], [Math.ceil((size - holeBytes) / 512), false], key);
      const { body } = await store.direct.objects.read({ bucket: BUCKET, key });
      const { content } = this.#model.file(`/${key}`)!;
      assert.equal(size, content.length);
      assert.ok(content.subarray(0, body.length).equals(body), key);
    }
    assert.deepEqual((await store.direct.uploads.list({ bucket: BUCKET })).uploads, [], 'uploads left');
  }

  async #create(path: string, slot: number): Promise<void> {
    await this.#close(slot);
    const expected = this.#model.create(path);
    if (expected !== 'ok')
      return same(this.#drive.fileSystem.create(path, 0o644, { writable: true }), expected);
    const handle = await this.#drive.fileSystem.create(path, 0o644, { writable: true });
    this.#opened[slot] = { handle, file: this.#model.file(path)!, append: false };
  }

  async #open(path: string, slot: number, append: boolean): Promise<void> {
    await this.#close(slot);
    const file = this.#model.file(path);
    const expected = this.#model.exists(path) ? 'EISDIR' : 'ENOENT';
    if (!file) return same(this.#drive.fileSystem.open(path), expected);
    const handle = await this.#drive.fileSystem.open(path, { writable: true, append });
    this.#opened[slot] = { handle, file, append };
  }

  async #use(step: Extract<Operation, { type: 'write' | 'read' | 'truncate' | 'flush' }>): Promise<void> {
    const opened = this.#opened[step.slot];
    if (!opened) return;
    const { handle, file, append } = opened;
    if (step.type === 'flush') return handle.flush();
    if (step.type === 'truncate') {
      await handle.truncate(step.size);
      return truncateModel(file, step.size);
    }
    if (step.type === 'write') {
      const bytes = pattern(step.length, step.seed);
      await handle.write(step.offset, bytes);
      if (bytes.length > 0) writeModel(file, append ? file.content.length : step.offset, bytes);
      return;
    }
    const seen = Buffer.alloc(step.length);
    const count = await handle.read(step.offset, seen);
    const expected = file.content.subarray(step.offset, step.offset + step.length);
    assert.ok(seen.subarray(0, count).equals(expected), `${count} bytes read at ${step.offset}`);
    assert.equal(handle.attributes().size, file.content.length);
  }

  async #punch({ slot, offset, length }: Extract<Operation, { type: 'punch' }>): Promise<void> {
    const opened = this.#opened[slot];
    if (!opened) return;
    await opened.handle.punch(offset, offset + length);
    const content = Buffer.from(opened.file.content);
    content.subarray(offset, offset + length).fill(0);
    opened.file.content = content;
  }

  async #clone({ slot, source, ...range }: Extract<Operation, { type: 'clone' }>): Promise<void> {
    const [opened, from] = [this.#opened[slot], this.#opened[source]];
    if (!opened || !from || opened.file === from.file) return;
    const count = await opened.handle.cloneFrom(from.handle, range);
    if (count === undefined) return;
    const { sourceOffset } = range;
    assert.equal(count, Math.min(range.length, from.file.content.length - sourceOffset));
    writeModel(opened.file, range.offset, from.file.content.subarray(sourceOffset, sourceOffset + count));
  }

  /** Whatever is said to be a hole is zeros. */
  async #seek({ slot, offset }: Extract<Operation, { type: 'seek' }>): Promise<void> {
    const opened = this.#opened[slot];
    if (!opened) return;
    const { handle, file } = opened;
    const size = file.content.length;
    if (offset >= size) return same(handle.seek(offset, 'hole'), 'ENXIO');
    const hole = await handle.seek(offset, 'hole');
    assert.ok(hole >= offset && hole <= size);
    for (const start of [offset, hole]) {
      if (start === size) continue;
      const end = await handle.seek(start, 'data').catch((error: unknown) => {
        assert.equal(error instanceof FileSystemError && error.code, 'ENXIO');
        return size;
      });
      assert.ok(
        file.content.subarray(start, end).every((byte) => byte === 0),
        `a hole from ${start} to ${end}`
      );
    }
  }

  async #close(slot: number): Promise<void> {
    const opened = this.#opened[slot];
    this.#opened[slot] = undefined;
    await opened?.handle.flush();
    await opened?.handle.release();
  }

  async #stat(path: string): Promise<void> {
    if (!this.#model.exists(path)) return same(this.#drive.fileSystem.getattr(path), 'ENOENT');
    const { size, sectorCount } = await this.#drive.fileSystem.getattr(path);
    const content = this.#model.file(path)?.content ?? new Uint8Array(0);
    assert.equal(size, content.length, path);
    const byteCount = Buffer.from(content).filter((byte) => byte !== 0).length;
    assert.ok(sectorCount * 512 >= byteCount, `${path}: ${sectorCount} sectors for ${byteCount} bytes`);
  }
}

/** The operation ends as the model says. */
async function same(run: Promise<unknown>, expected: string): Promise<void> {
  let actual = 'ok';
  try {
    await run;
  } catch (error) {
    const errno = findErrno(error);
    if (errno === undefined) throw error;
    actual = error instanceof FileSystemError ? error.code : nameOf(errno);
  }
  assert.equal(actual, expected);
}

function nameOf(errno: number): string {
  return Object.entries(ERRNO).find(([, value]) => value === errno)![0];
}
