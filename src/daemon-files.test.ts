import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { daemonFiles } from './daemon-files.js';
import { PidFile } from './pid-file.js';
import { TestWorld } from './testing/test-world.js';

t.test('each directory has files of its own, in the folders of root or of the user', (t) => {
  const user = { stateDirectory: '/h/.local/state/stampede', isRoot: false };
  t.same(daemonFiles('/mnt/photos', { ...user, isRoot: true }), {
    pidFile: '/run/stampede/mnt-photos.pid',
    logFile: '/var/log/stampede/mnt-photos.log'
  });
  t.equal(daemonFiles('/mnt/my-photos', user).pidFile, '/h/.local/state/stampede/mnt-my%2Dphotos.pid');
  const names = ['/a/b', '/a-b', `/${'x'.repeat(300)}`, `/${'x'.repeat(301)}`, '/a b'];
  const files = names.map((name) => daemonFiles(name, user).pidFile);
  t.equal(new Set(files).size, names.length);
  t.ok(files.every((file) => file.length < 255));
  t.end();
});

t.test('a pid file goes with its process, and is left when another has it', async (t) => {
  using world = new TestWorld();
  const path = world.path('run/drive.pid');
  const file = await PidFile.prepare(path, 42);
  t.notOk(existsSync(path));
  await file.write();
  t.equal(readFileSync(path, 'utf8'), '42\n');
  writeFileSync(path, '43\n');
  await file.remove();
  t.equal(readFileSync(path, 'utf8'), '43\n');
  await file.write();
  await file.remove();
  t.notOk(existsSync(path));
  writeFileSync(world.path('file'), '');
  await t.rejects(PidFile.prepare(world.path('file/drive.pid'), 42), /choose another with --pid-file/);
});

t.test('a drive in the background is started once more, with its files', async (t) => {
  const requests: { readonly logFile: string }[] = [];
  using world = new TestWorld({
    world: {
      startDaemon: async (request) => {
        requests.push(request);
        return requests.length === 1
          ? { type: 'ready', pid: 7 }
          : { type: 'failed', exitCode: requests.length === 2 ? 1 : 2, message: 'it did not work' };
      }
    }
  });
  const words = ['mount', 'photos', 'dir', '--daemon', '--log-file', 'log', '--pid-file', 'pid'];
  const started = await world.run(...words, '--json');
  t.equal(started.code, 0);
  const files = { pidFile: world.path('pid'), logFile: world.path('log') };
  t.same(JSON.parse(started.stdout), { mount: world.path('dir'), pid: 7, ...files });
  t.equal(requests[0]?.logFile, files.logFile);
  for (const code of [1, 2])
    t.match(await world.run(...words), { code, stdout: '', stderr: 'stampede: it did not work\n' });
  const wrong = await world.run('mount', 'photos', 'dir', '--log-file', 'log');
  t.match(wrong, { code: 2, stderr: /--log-file is of a daemon/ });
});
