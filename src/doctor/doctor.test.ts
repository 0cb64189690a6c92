import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';
import { checkDataDirectory, checkDurability, checkSpace } from './check-disk.js';
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
  const facts = { device, isRoot: true, programDirectories: [] };
  t.match(await checkFuseDevice(facts), { verdict: 'fail', fix: /modprobe fuse/ });
  writeFileSync(device, '');
  t.match(await checkFuseDevice(facts), { verdict: 'ok' });
});

t.test('users other than root need the program that mounts for them', async (t) => {
  using place = folder();
  const facts = (isRoot: boolean) => ({
    device: '',
    isRoot,
    programDirectories: ['/nonexistent', place.path]
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
  t.match(await checkFuseHelper(facts(false)), { verdict: 'ok', message: join(place.path, 'fusermount') });
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
