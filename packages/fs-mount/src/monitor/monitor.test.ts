import { StoreError } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { BUCKET, errnoOf, namesIn, readFile, startDrive, writeFile } from '../testing/drive.js';
import { VirtualClock } from '../testing/virtual-clock.js';
import { CallCount, CallCounts } from './call-counts.js';
import { countedStore } from './counted-store.js';
import { Monitor } from './monitor.js';
import { MonitorFolder } from './monitor-folder.js';
import { OperationLog } from './operation-log.js';

const NEVER = new AbortController().signal;

t.test('a call is in the class of its duration, and failures are counted by their code', (t) => {
  const count = new CallCount('read');
  for (const durationMs of [0.01, 0.05, 0.06, 3, 1e9]) count.ended(durationMs);
  count.failed('EIO');
  count.failed('EIO');
  t.equal(count.count, 5);
  t.same([count.classes[0], count.classes[1], count.classes[6], count.classes.at(-1)], [2, 1, 1, 1]);
  t.equal(count.failures.get('EIO'), 2);
  t.end();
});

t.test('calls to the store are counted by name, with the codes they failed with', async (t) => {
  const counts = new CallCounts();
  const store = countedStore(memoryStore(), counts, new VirtualClock());
  await store.buckets.create({ bucket: 'drive' });
  await store.objects.put({ bucket: 'drive', key: 'a', body: Buffer.from('x') });
  await t.rejects(store.objects.head({ bucket: 'drive', key: 'none' }), StoreError);
  t.same(
    counts.all().map(({ name, count, failures }) => [name, count, [...failures]]),
    [
      ['buckets.create', 1, []],
      ['objects.head', 1, [['NoSuchKey', 1]]],
      ['objects.put', 1, []]
    ]
  );
});

t.test('a reader gets the lines from when it came; without one nothing is kept', async (t) => {
  const log = new OperationLog();
  log.append('before');
  t.notOk(log.isRead);
  const reader = log.open();
  log.append('one');
  log.append('two');
  t.equal(Buffer.from(await reader.read(6, NEVER)).toString(), 'one\ntw');
  t.equal(Buffer.from(await reader.read(100, NEVER)).toString(), 'o\n');
  const waiting = reader.read(100, NEVER);
  log.append('three');
  t.equal(Buffer.from(await waiting).toString(), 'three\n');
  reader.close();
  t.notOk(log.isRead);
});

t.test('a slow reader loses the oldest lines and is told how many', async (t) => {
  const log = new OperationLog();
  const reader = log.open();
  const line = 'x'.repeat(1023);
  for (let index = 0; index < 300; index++) log.append(line);
  t.equal(log.droppedCount, 300 - 256);
  const text = Buffer.from(await reader.read(1024 * 1024, NEVER)).toString();
  t.match(text, /^# 44 lines dropped/);
  t.equal(text.split('\n').filter((one) => one === line).length, 256);
});

t.test('a wait for the log ends with its signal and with the mount', async (t) => {
  const log = new OperationLog();
  const abort = new AbortController();
  const interrupted = log.open().read(100, abort.signal);
  abort.abort();
  t.equal((await interrupted).byteLength, 0);
  const ended = log.open().read(100, NEVER);
  log.close();
  t.equal((await ended).byteLength, 0);
  t.equal(log.readerCount, 0);
});

t.test('all reads that wait on one handle end with it', async (t) => {
  const log = new OperationLog();
  const reader = log.open();
  const { signal } = new AbortController();
  const reads = [reader.read(100, signal), reader.read(100, signal), reader.read(100, signal)];
  log.append('one');
  t.equal(Buffer.from(await reads[0]!).toString(), 'one\n');
  reader.close();
  t.same(
    (await Promise.all(reads.slice(1))).map((bytes) => bytes.byteLength),
    [0, 0]
  );
});

t.test('so many may read the log and no more', async (t) => {
  const log = new OperationLog();
  for (let index = 0; index < 16; index++) log.open();
  t.equal(await errnoOf((async () => log.open())()), 'EMFILE');
});

t.test('stats are the text format of Prometheus, with names escaped', async (t) => {
  await using drive = await startDrive();
  await writeFile(drive.fileSystem, '/f', 'content');
  await readFile(drive.fileSystem, '/f');
  const monitor = new Monitor(drive.clock);
  monitor.ended(monitor.operations.of('read'), { startedAtMs: monitor.nowMs() - 2, errno: 5 });
  monitor.readBytes = 7;
  for (const outcome of ['small', 'kernel', 'small']) monitor.opened(outcome);
  const text = await stats(drive.fileSystem, monitor, drive.clock);
  t.match(text, 'stampede_drive_info{driver="linux",bucket="drive",prefix="a\\"b/",pid="42"} 1\n');
  t.match(text, '# TYPE stampede_drive_operation_duration_seconds histogram\n');
  t.match(text, 'stampede_drive_operation_duration_seconds_bucket{operation="read",le="0.001"} 0\n');
  t.match(text, 'stampede_drive_operation_duration_seconds_bucket{operation="read",le="0.0025"} 1\n');
  t.match(text, 'stampede_drive_operation_duration_seconds_bucket{operation="read",le="+Inf"} 1\n');
  t.match(text, 'stampede_drive_operation_duration_seconds_sum{operation="read"} 0.002\n');
  t.match(text, 'stampede_drive_operation_failures_total{operation="read",code="EIO"} 1\n');
  t.match(text, 'stampede_drive_read_bytes_total 7\n');
  t.match(text, 'stampede_drive_opens_total{outcome="small"} 2\n');
  t.match(text, 'stampede_drive_opens_total{outcome="kernel"} 1\n');
  t.match(text, 'stampede_drive_cache_miss_bytes_total{cache="memory"} 7\n');
  const lines = text.trimEnd().split('\n');
  const isWellFormed = (line: string) =>
    /^(# (HELP|TYPE) |stampede_drive_\w+(\{.*\})? -?[\d.e+-]+$)/.test(line);
  t.same(
    lines.filter((line) => !isWellFormed(line)),
    []
  );
});

t.test('what the bucket has under the name of the folder shows under an escaped one', async (t) => {
  await using drive = await startDrive();
  const put = (key: string) =>
    drive.store.direct.objects.put({ bucket: BUCKET, key, body: Buffer.from(key) });
  await put('.stampede/mine');
  await put('d/.stampede');
  await put('%=raw=.stampede');
  const { fileSystem } = drive;
  t.same(await namesIn(fileSystem, '/'), ['%=raw=%=raw=.stampede', '%=raw=.stampede', 'd']);
  t.equal((await readFile(fileSystem, '/%=raw=.stampede/mine')).toString(), '.stampede/mine');
  t.equal((await readFile(fileSystem, '/%=raw=%=raw=.stampede')).toString(), '%=raw=.stampede');
  t.same(await namesIn(fileSystem, '/d'), ['.stampede']);
});

async function stats(
  fileSystem: ConstructorParameters<typeof MonitorFolder>[0]['fileSystem'],
  monitor: Monitor,
  clock: VirtualClock
): Promise<string> {
  const facts = { driver: 'linux', bucket: 'drive', prefix: 'a"b/', pid: 42, startedAtMs: 0 };
  const folder = new MonitorFolder({ monitor, fileSystem, facts, clock, uid: 0, gid: 0, canStream: true });
  const file = folder.open('stats');
  const bytes = await file.read(0, 1024 * 1024, NEVER);
  t.equal((await file.read(bytes.byteLength, 10, NEVER)).byteLength, 0);
  return Buffer.from(bytes).toString();
}
