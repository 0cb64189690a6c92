import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { COMMAND, credentialsOf, ROOT, scratch, startStore, withoutFuse } from '../support/store-process.js';

/* The helper that mount(8) calls for lines of fstab. */

const run = promisify(execFile);

t.test('a line of fstab becomes a drive, and umount ends it', { skip: withoutFuse() }, async (t) => {
  using folder = scratch();
  const path = (name: string) => join(folder.path, name);
  await using store = await startStore({ data: path('data') });
  const { accessKey, secretKey } = credentialsOf(path('data'));
  writeFileSync(path('keys'), `STAMPEDE_ACCESS_KEY=${accessKey}\nSTAMPEDE_SECRET_KEY='${secretKey}'\n`, {
    mode: 0o600
  });
  // The program under test, without the set-up of a checkout.
  writeFileSync(path('stampede'), `#!/bin/sh\nexec "${process.execPath}" "${COMMAND}" "$@"\n`, {
    mode: 0o755
  });
  symlinkSync(join(ROOT, 'bin/mount.stampede'), path('mount.stampede'));
  mkdirSync(path('drive'));
  const env = { ...process.env, HOME: folder.path, STAMPEDE: path('stampede') };
  const call = (...words: readonly string[]) => run(path('mount.stampede'), words, { env });
  const command = (...words: readonly string[]) => run(path('stampede'), words, { env });
  await command('bucket', 'create', 'photos', '--data', path('data'), '--endpoint', store.endpoint);
  const options = [
    'rw,_netdev,x-systemd.automount',
    `endpoint=${store.endpoint}`,
    `credentials=${path('keys')}`,
    `pid_file=${path('pid')},log_file=${path('log')}`,
    'umask=027,uid=1234'
  ];
  await call('photos', path('drive'), '-n', '-o', options.join(','));
  await run('sh', ['-c', `echo hello > ${path('drive')}/file && cat ${path('drive')}/file`]);
  const { stdout } = await run('stat', ['-c', '%u', path('drive')]);
  t.equal(stdout, '1234\n');
  const pid = Number(readFileSync(path('pid'), 'utf8'));
  await command('umount', path('drive'));
  for (let isThere = true; isThere; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    try {
      process.kill(pid, 0);
    } catch {
      isThere = false;
    }
  }
  const found = await command('cat', 'st:photos/file', '--data', path('data'), '--endpoint', store.endpoint);
  t.equal(found.stdout, 'hello\n');
  t.same(await call('photos', path('drive'), '-f', '-o', 'ro'), { stdout: '', stderr: '' }, 'only for show');
  for (const [words, said] of [
    [['photos'], /give a bucket and a directory/],
    [['photos', path('drive'), '-x'], /no option -x/],
    [['photos', path('drive'), '-o', 'secret_key=x'], /no option secret_key/],
    [['photos', path('drive'), '-o', `credentials=${path('none')}`], /cannot be read/]
  ] as const)
    await t.rejects(call(...words), { code: 1, stderr: said });
});
