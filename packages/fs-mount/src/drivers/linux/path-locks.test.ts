import t from 'tap';
import { PathLocks } from './path-locks.js';

/** Something that runs until it is told to end, and says in which order things begin. */
class Stage {
  readonly locks = new PathLocks();
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  shared(name: string, path: string): Promise<void> {
    return this.locks.shared(
      () => path,
      () => this.#run(name)
    );
  }

  exclusive(name: string, ...paths: string[]): Promise<void> {
    return this.locks.exclusive(
      () => paths,
      () => this.#run(name)
    );
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)!();
    await settled();
  }

  #run(name: string): Promise<void> {
    this.begun.push(name);
    return new Promise((resolve) => this.#ends.set(name, resolve));
  }
}

t.test('who only looks waits for nobody that looks, and who renames for all', async (t) => {
  const stage = new Stage();
  const all = [stage.shared('one', '/a'), stage.shared('two', '/a'), stage.exclusive('rename', '/a', '/b')];
  await settled();
  t.same(stage.begun, ['one', 'two']);
  await stage.end('one');
  t.same(stage.begun, ['one', 'two']);
  await stage.end('two');
  t.same(stage.begun, ['one', 'two', 'rename']);
  await stage.end('rename');
  await Promise.all(all);
});

t.test('who comes after a rename that waits does not overtake it', async (t) => {
  const stage = new Stage();
  const all = [stage.shared('one', '/a'), stage.exclusive('rename', '/a', '/b'), stage.shared('two', '/b')];
  await settled();
  t.same(stage.begun, ['one']);
  await stage.end('one');
  await stage.end('rename');
  t.same(stage.begun, ['one', 'rename', 'two']);
  await stage.end('two');
  await Promise.all(all);
});

t.test('a directory takes along what is below it, and nothing else', async (t) => {
  const stage = new Stage();
  const all = [
    stage.exclusive('rename', '/d', '/e'),
    stage.shared('below', '/d/sub/f'),
    stage.shared('above', '/'),
    stage.shared('beside', '/dd')
  ];
  await settled();
  t.same(stage.begun, ['rename', 'above', 'beside']);
  await stage.end('rename');
  t.same(stage.begun, ['rename', 'above', 'beside', 'below']);
  for (const name of ['above', 'beside', 'below']) await stage.end(name);
  await Promise.all(all);
});

t.test('what was renamed while it waited is done under its new name', async (t) => {
  const stage = new Stage();
  let path = '/a';
  const rename = stage.exclusive('rename', '/a', '/b');
  const seen = stage.locks.shared(
    () => path,
    async (now) => now
  );
  await settled();
  path = '/b';
  await stage.end('rename');
  t.equal(await seen, '/b');
  await rename;
});

t.test('what is gone after the wait fails as it says, and a failure lets others go on', async (t) => {
  const stage = new Stage();
  let isGone = false;
  const rename = stage.exclusive('rename', '/a', '/b');
  const pathOf = () => {
    if (isGone) throw new Error('gone');
    return '/a';
  };
  const seen = t.rejects(
    stage.locks.shared(pathOf, async () => 'seen'),
    { message: 'gone' }
  );
  const after = stage.exclusive('after', '/a');
  await settled();
  isGone = true;
  await stage.end('rename');
  await seen;
  t.same(stage.begun, ['rename', 'after']);
  await stage.end('after');
  await Promise.all([rename, after]);
});

/** Everything that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
