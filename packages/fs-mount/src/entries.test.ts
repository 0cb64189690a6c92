import t from 'tap';
import { namesIn, readFile, startDrive, writeFile } from './testing/drive.js';

t.test('a directory that is renamed while it is listed shows no names but its own', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  await fileSystem.mkdir('/d', 0o755);
  await writeFile(fileSystem, '/d/stored', 'content');
  const handle = await fileSystem.create('/d/new', 0o644, { writable: true });
  const pages = fileSystem.readdir('/d');
  const { value = [] } = await pages.next();
  const names: string[] = value.map(({ name }: { readonly name: string }) => name);
  await fileSystem.rename('/d', '/another');
  for await (const page of pages) names.push(...page.map(({ name }) => name));
  t.same(names, ['stored']);
  t.same(await namesIn(fileSystem, '/another'), ['new', 'stored']);
  await handle.release();
  t.same(await readFile(fileSystem, '/another/stored'), Buffer.from('content'));
});

t.test('a file that is stored and closed while its directory is listed is shown', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  await fileSystem.mkdir('/d', 0o755);
  await writeFile(fileSystem, '/d/stored', 'content');
  const handle = await fileSystem.create('/d/new', 0o644, { writable: true });
  const pages = fileSystem.readdir('/d');
  const { value = [] } = await pages.next();
  const names: string[] = value.map(({ name }: { readonly name: string }) => name);
  await handle.flush();
  await handle.release();
  for await (const page of pages) names.push(...page.map(({ name }) => name));
  t.same(names, ['stored', 'new']);
});
