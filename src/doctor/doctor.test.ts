import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';
import { checkDataDirectory, checkDurability, checkSpace } from './check-disk.js';
import {
  checkAllowOther,
  checkCacheDirectory,
  checkDriver,
  checkMountHelper,
  checkPassthrough
} from './check-drive.js';
import { checkFuseDevice, checkFuseHelper } from './check-fuse.js';
import { checkClock, checkPort } from './check-port.js';
import { checkNode, checkOpenFiles } from './check-process.js';

function folder() {
  const path = mkdtempSync(join(tmpdir(), 'stampede-doctor-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

async function listening(status: number, date?: Date) {
  const server = createServer((_request, response) => {
    if (date) response.setHeader('date', date.toUTCString());
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  };
}

t.test('the FUSE device is there and can be used', async (t) => {
  using place = folder();
  const device = join(place.path, 'fuse');
  const facts = { device, isRoot: true, programDirectories: [], hasLinuxDriver: true };
  t.match(await checkFuseDevice(facts), { verdict: 'fail', fix: /modprobe fuse/ });
  writeFileSync(device, '');
  t.match(await checkFuseDevice(facts), { verdict: 'ok' });
});

t.test('users other than root need the program that mounts for them', async (t) => {
  using place = folder();
  const facts = (isRoot: boolean) => ({
    device: '',
    isRoot,
    programDirectories: ['/nonexistent', place.path],
    hasLinuxDriver: false
  });
  t.match(await checkFuseHelper(facts(true)), { verdict: 'ok' });
  t.match(await checkFuseHelper(facts(false)), { verdict: 'fail', fix: /apt-get install fuse3/ });
  const install = (name: string) => {
    writeFileSync(join(place.path, name), '');
    chmodSync(join(place.path, name), 0o755);
  };
  install('fusermount3');
  t.match(await checkFuseHelper(facts(false)), {
    verdict: 'fail',
    fix: `as root: ln -s ${place.path}/fusermount3 ${place.path}/fusermount`
  });
  install('fusermount');
  const program = join(place.path, 'fusermount');
  const isRoot = process.getuid?.() === 0;
  // A file of a user's own has not the rights of root.
  if (isRoot) t.match(await checkFuseHelper(facts(false)), { verdict: 'fail', fix: /chmod u\+s/ });
  chmodSync(program, 0o4755);
  const found = await checkFuseHelper(facts(false));
  t.match(found, isRoot ? { verdict: 'ok', message: program } : { verdict: 'fail', fix: /chown root/ });
  const newest = { ...facts(false), hasLinuxDriver: true };
  chmodSync(join(place.path, 'fusermount3'), 0o4755);
  t.match(
    await checkFuseHelper(newest),
    isRoot ? { verdict: 'ok', message: /fusermount3$/ } : { verdict: 'fail' }
  );
});

t.test('the disk is measured where the store is to be, and nothing is left there', async (t) => {
  using place = folder();
  const data = join(place.path, 'not/there/yet');
  t.match(await checkDataDirectory(data), { verdict: 'ok', message: `${data} can be created` });
  t.match(await checkDataDirectory(place.path), { verdict: 'ok', message: `${place.path} can be written` });
  let nowMs = 0;
  const slow = () => {
    nowMs += 1600;
    return nowMs;
  };
  t.match(await checkDurability(data, slow), { verdict: /ok|warn/ });
  t.match((await checkSpace(data)).message, /free, \d+ % used/);
  t.same(readdirSync(place.path), []);
});

t.test('a disk that is slow to make writes durable is told', async (t) => {
  using place = folder();
  let nowMs = 0;
  const clock = () => {
    nowMs += 60 * 16;
    return nowMs;
  };
  t.match(await checkDurability(place.path, clock), { verdict: 'warn' });
});

t.test('a port is free, has a store, or has something else', async (t) => {
  const nowMs = () => Date.parse('2026-01-01T00:00:00Z');
  let free: number;
  {
    await using store = await listening(200, new Date('2026-01-01T00:00:30Z'));
    free = store.port;
    t.match(await checkPort({ port: store.port, nowMs }), [
      { verdict: 'ok', message: `a store answers on ${store.port}` },
      { verdict: 'ok', message: 'it agrees with ours to 30 s' }
    ]);
  }
  t.match(await checkPort({ port: free, nowMs }), [{ verdict: 'ok', message: `${free} is free` }]);
  await using skewed = await listening(200, new Date('2026-01-01T01:00:00Z'));
  t.match((await checkPort({ port: skewed.port, nowMs }))[1], { verdict: 'fail', message: /3600 s off/ });
  await using other = await listening(404);
  t.match(await checkPort({ port: other.port, nowMs }), [
    { verdict: 'fail', fix: /choose another port with --port/ }
  ]);
});

t.test('the clock is of this age', async (t) => {
  t.equal(checkClock(Date.parse('2026-06-01T00:00:00Z')).verdict, 'ok');
  t.match(checkClock(0), { verdict: 'fail', message: /the year 1970/ });
});

t.test('Node is new enough, and many files may be open', async (t) => {
  t.equal(checkNode('20.19.0').verdict, 'ok');
  t.equal(checkNode('24.1.0').verdict, 'ok');
  for (const version of ['18.20.1', '20.18.9']) t.equal(checkNode(version).verdict, 'fail');
  using place = folder();
  const limits = join(place.path, 'limits');
  for (const [word, verdict] of [
    ['256', 'fail'],
    ['1024', 'warn'],
    ['65536', 'ok'],
    ['unlimited', 'ok']
  ] as const) {
    writeFileSync(limits, `Limit Soft Hard\nMax open files            ${word}   524288   files\n`);
    t.equal((await checkOpenFiles(limits)).verdict, verdict);
  }
  t.equal((await checkOpenFiles(join(place.path, 'none'))).verdict, 'warn');
});

t.test('what drives are served by', async (t) => {
  t.match(checkDriver(undefined), { verdict: 'ok' });
  t.match(checkDriver('it was not built'), { verdict: 'warn', message: /it was not built/, fix: /gcc/ });
});

t.test('passthrough needs a new kernel, the linux driver and a right', async (t) => {
  using place = folder();
  const statusFile = join(place.path, 'status');
  const check = (release: string, hasLinuxDriver: boolean, capabilities: string) => {
    writeFileSync(statusFile, `Name:\tnode\nCapEff:\t${capabilities}\n`);
    return checkPassthrough({ release, hasLinuxDriver, statusFile });
  };
  const all = '000001ffffffffff';
  t.match(await check('6.9.0-1-generic', true, all), { verdict: 'ok' });
  t.match(await check('7.0', true, '0000000000200000'), { verdict: 'ok' });
  t.match(await check('6.8.12', true, all), { verdict: 'warn', message: /6\.8\.12 is older than 6\.9/ });
  t.match(await check('5.15.0', true, all), { verdict: 'warn', fix: /kernel/ });
  t.match(await check('6.9.0', false, all), { verdict: 'warn', message: /linux driver/ });
  t.match(await check('6.9.0', true, '000001ffffdfffff'), { verdict: 'warn', message: /CAP_SYS_ADMIN/ });
  t.match(await check('6.9.0', true, '0000000000000000'), { verdict: 'warn', fix: /root/ });
});

t.test('the helper for fstab, and whether others may be let in', async (t) => {
  using place = folder();
  const path = join(place.path, 'mount.stampede');
  t.match(await checkMountHelper(path), { verdict: 'warn', fix: /ln -s .*bin\/mount\.stampede/ });
  writeFileSync(path, '');
  chmodSync(path, 0o755);
  t.match(await checkMountHelper(path), { verdict: 'ok' });
  const config = join(place.path, 'fuse.conf');
  t.match(await checkAllowOther(false, config), { verdict: 'warn', fix: /user_allow_other/ });
  writeFileSync(config, '# user_allow_other\n');
  t.match(await checkAllowOther(false, config), { verdict: 'warn' });
  writeFileSync(config, '# some\nuser_allow_other\n');
  t.match(await checkAllowOther(false, config), { verdict: 'ok' });
  t.match(await checkAllowOther(true, join(place.path, 'none')), { verdict: 'ok' });
});

t.test('the folder of a cache is on a disk of this machine and has space', async (t) => {
  using place = folder();
  const [directory, space] = await checkCacheDirectory(join(place.path, 'not/there/yet'));
  t.match(directory, { name: 'cache folder', verdict: /ok|warn/ });
  t.match(space, { name: 'cache space', message: /of .* free/ });
  t.match(await checkCacheDirectory('/proc/self'), [{ name: 'cache folder' }]);
  t.same(readdirSync(place.path), []);
});

t.test(
  'doctor --config looks at the addresses and folders of a server, and its errors name the line',
  async (t) => {
    using world = new TestWorld();
    writeFileSync(world.path('secret'), 'of sixteen bytes or more', { mode: 0o600 });
    await using taken = await listening(200);
    const text = `rack: a
etcd: {endpoints: ["http://127.0.0.1:1"]}
cluster: {listen: "127.0.0.1:${taken.port}", secret-file: secret}
monitoring: {listen: "192.0.2.1:7072"}
roles:
  extent-node: {directory: extents}
  partition-server: {index-directory: /proc/self/fd}
`;
    writeFileSync(world.path('node.yaml'), text);
    const { stdout, code } = await world.run('doctor', '--config', 'node.yaml', '--json');
    const checks = new Map(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => [JSON.parse(line).name, JSON.parse(line)])
    );
    t.equal(code, 1);
    t.match(checks.get('configuration'), { verdict: 'ok' });
    t.match(checks.get('cluster.listen'), { verdict: 'warn', message: /in use/ });
    t.match(checks.get('monitoring.listen'), {
      verdict: 'fail',
      message: /192\.0\.2\.1 is no address of this machine/
    });
    t.match(checks.get('roles.extent-node.directory'), { verdict: 'ok' });
    t.match(checks.get('roles.extent-node.directory: free space').message, /free/);
    t.match(checks.get('etcd 127.0.0.1:1'), { verdict: 'fail', fix: /start it/ });
    t.notOk(checks.has('fuse device'), 'a server needs no drive');
    writeFileSync(world.path('node.yaml'), text.replace('rack: a', 'rak: a'));
    const wrong = await world.run('doctor', '--config', 'node.yaml');
    t.match(wrong, { code: 1, stderr: /node\.yaml:1: rack is missing/ });
  }
);

t.test('doctor ends with 1 when something that is needed is broken, and names it', async (t) => {
  using world = new TestWorld();
  const words = ['doctor', '--port', '0', '--json'];
  const broken = await world.run(...words);
  t.equal(broken.code, 1);
  t.match(broken.stderr, /^stampede: to fix: .*fuse device/);
  const checks = broken.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(
    checks.find(({ name }) => name === 'fuse device'),
    { verdict: 'fail', fix: /modprobe/ }
  );
  t.match(
    (await world.run('doctor', '--port', '0')).stdout,
    /^fail {2}fuse device +there is no .*\n +load it/m
  );
  writeFileSync(world.path('fuse-device'), '');
  mkdirSync(world.path('.stampede'));
  const whole = await world.run(...words);
  t.notMatch(whole.stdout, /"name":"fuse device","verdict":"fail"/);
});
