import t from 'tap';
import { errnoOf, pattern, startDrive, writeFile } from './testing/drive.js';

/** More than any of the calls here takes. */
const TURNS_MAX = 40;
const CONTENT = pattern(5000);
const CHANGED = pattern(5000, 7);

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

t.test('who opens a removed file while it is closed for the last time gets its bytes, or none', async (t) => {
  const outcomes = new Set<string>();
  for (let count = 0; count < TURNS_MAX; count++) {
    await using drive = await startDrive();
    const { fileSystem } = drive;
    await writeFile(fileSystem, '/f', CONTENT);
    const last = await fileSystem.open('/f', { writable: true });
    await fileSystem.unlink('/f', { alias: '/.hidden' });
    // The store has never seen these.
    await last.write(0, CHANGED);
    const opening = fileSystem.open('/.hidden', { writable: true });
    const outcome = errnoOf(opening);
    await turns(count);
    await last.release();
    outcomes.add(await outcome);
    if ((await outcome) !== 'ok') continue;
    const handle = await opening;
    await handle.write(CONTENT.byteLength, CONTENT);
    const all = Buffer.alloc(2 * CONTENT.byteLength);
    t.equal(await handle.read(0, all), all.byteLength, `${count} turns later`);
    t.same(all, Buffer.concat([CHANGED, CONTENT]), `${count} turns later`);
    await handle.release();
  }
  t.same([...outcomes].sort(), ['ENOENT', 'ok']);
});

t.test('who opens a file while it is closed for the last time has it in common with the next', async (t) => {
  for (const isDirty of [false, true])
    for (let count = 0; count < TURNS_MAX; count++) {
      await using drive = await startDrive();
      const { fileSystem } = drive;
      await writeFile(fileSystem, '/f', CONTENT);
      const last = await fileSystem.open('/f', { writable: true });
      if (isDirty) await last.write(0, CONTENT);
      const opening = fileSystem.open('/f', { writable: true });
      await turns(count);
      await last.release();
      await using one = disposing(await opening);
      await using other = disposing(await fileSystem.open('/f', { writable: true }));
      t.equal(other.handle.state, one.handle.state, `${count} turns later`);
    }
});

function disposing<Handle extends { release(): Promise<void> }>(handle: Handle) {
  return { handle, [Symbol.asyncDispose]: () => handle.release() };
}
