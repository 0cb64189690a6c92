import t from 'tap';
import { namesIn, startDrive, writeFile } from '../../testing/drive.js';
import { DirectoryHandle } from './directory-handle.js';

t.test('a listing goes on at the new path of a renamed directory', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  let path = '/before';
  await fileSystem.mkdir(path, 0o755);
  for (const name of ['a', 'b', 'c']) await writeFile(fileSystem, `${path}/${name}`, name.repeat(10));
  const directory = new DirectoryHandle(fileSystem, () => path);
  t.same(namesOf(await directory.from(0)), ['a', 'b', 'c']);
  await fileSystem.rename(path, '/after');
  // What has the old path by now is another directory.
  await fileSystem.mkdir(path, 0o755);
  await fileSystem.mkdir(`${path}/b`, 0o755);
  path = '/after';
  const rest = await directory.from(1);
  t.same(namesOf(rest), ['b', 'c']);
  t.equal(directory.position, 1);
  const { mode } = await fileSystem.getattr('/after/b');
  const [told] = rest.map((entry) => entry.attributes());
  t.same(told === 'gone' ? told : told?.mode, mode);
  t.same(await namesIn(fileSystem, '/before'), ['b']);
  await directory.close();
});

function namesOf(entries: readonly { readonly name: string }[]): string[] {
  return entries.map(({ name }) => name);
}
