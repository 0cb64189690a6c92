import type { WatchEvent } from '@stampede/server/api';
import { bytes, fails, type Section, type TestBucket } from './fixture.js';
import { asPlain } from './puts.js';

const PROBES_MAX = 1000;

export const watches: Section = async (t, fixture) => {
  await t.test('a watch gives every change below its prefix, in order', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('w/file');
    await bucket.put('outside/file');
    const resumeToken = await currentToken(bucket, 'w/');
    const { objects, uploads } = bucket.calls;
    const put = await bucket.put('w/a', 'a');
    await bucket.put('other', 'not watched');
    const steps = [{ type: 'write' as const, length: 1 }];
    const edited = await objects.edit({ ...bucket.at('w/a'), steps, body: bytes('b') });
    const set = await objects.setAttributes({ ...bucket.at('w/a'), attributes: { uid: 1 } });
    const copied = await objects.copy({ ...bucket.at('w/a'), to: { key: 'w/copy' } });
    const composed = await objects.compose({ ...bucket.at('w/all'), sources: [{ key: 'w/a' }] });
    const { uploadId } = await uploads.create(bucket.at('w/upload'));
    const completed = await uploads.complete({ ...bucket.at('w/upload'), uploadId });
    await objects.delete(bucket.at('w/copy'));
    await objects.delete(bucket.at('outside/none'));
    await objects.deletePrefix({ bucket: bucket.name, prefix: 'w/al' });
    await objects.renamePrefix({ bucket: bucket.name, prefix: 'outside/', to: 'w/inside/' });
    await bucket.put('w/last', '');
    const events = await eventsUntil(bucket, { prefix: 'w/', resumeToken }, 'w/last');
    t.same(
      events.map(({ resumeToken: _, ...event }) => asPlain(event)),
      [
        { type: 'put', head: put },
        { type: 'put', head: edited },
        { type: 'put', head: set },
        { type: 'put', head: copied },
        { type: 'put', head: composed },
        { type: 'put', head: completed },
        { type: 'delete', key: 'w/copy' },
        { type: 'deletePrefix', prefix: 'w/al' },
        { type: 'renamePrefix', prefix: 'outside/', to: 'w/inside/' }
      ].map(asPlain)
    );
  });

  await t.test('a rename is the end of one name and the change of another', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('w/old', 'body');
    await bucket.put('w/x', 'x');
    await bucket.put('w/y', 'y');
    const resumeToken = await currentToken(bucket, 'w/');
    const moved = await bucket.calls.objects.rename({ ...bucket.at('w/old'), to: { key: 'w/new' } });
    const swapped = await bucket.calls.objects.rename({
      ...bucket.at('w/x'),
      to: { key: 'w/y' },
      exchange: true
    });
    const other = await bucket.head('w/x');
    await bucket.calls.objects.deleteMany({ bucket: bucket.name, keys: ['w/x', 'w/y', 'w/none'] });
    await bucket.put('w/last', '');
    const events = await eventsUntil(bucket, { prefix: 'w/', resumeToken }, 'w/last');
    // The two halves of a rename or a swap may come in either order.
    const names = (from: number, to: number) =>
      events
        .slice(from, to)
        .map((event) => (event.type === 'put' ? `put ${event.head.key} ${event.head.etag}` : nameOf(event)))
        .sort();
    t.same(names(0, 2), ['delete w/old', `put w/new ${moved.etag}`]);
    t.same(names(2, 4), [`put w/x ${other.etag}`, `put w/y ${swapped.etag}`].sort());
    t.same(names(4, 6), ['delete w/x', 'delete w/y']);
    t.equal(events.length, 6, 'nothing else');
  });

  await t.test('a watch goes on after any event it gave', async (t) => {
    const bucket = await fixture.bucket();
    let resumeToken = await currentToken(bucket, '');
    for (const key of ['a', 'b', 'c', 'd']) await bucket.put(key);
    const seen: string[] = [];
    for (let round = 0; round < 4; round++) {
      const [event] = await take(bucket, { resumeToken }, 1);
      seen.push(event?.type === 'put' ? event.head.key : nameOf(event!));
      resumeToken = event!.resumeToken;
    }
    t.same(seen, ['a', 'b', 'c', 'd']);
  });

  await t.test('changes arrive while they are being waited for', async (t) => {
    const bucket = await fixture.bucket();
    const resumeToken = await currentToken(bucket, '');
    const waiting = take(bucket, { resumeToken }, 3);
    const heads = [];
    for (const key of ['a', 'b', 'c']) heads.push(await bucket.put(key));
    t.same(
      (await waiting).map((event) => event.type === 'put' && asPlain(event.head)),
      heads.map(asPlain)
    );
  });

  await t.test('a watch tells nothing of other buckets', async (t) => {
    const bucket = await fixture.bucket();
    const other = await fixture.bucket();
    const resumeToken = await currentToken(bucket, '');
    await other.put('k');
    await bucket.put('last');
    const events = await eventsUntil(bucket, { resumeToken }, 'last');
    t.same(events, []);
  });

  await t.test('an aborted watch ends', async (t) => {
    const bucket = await fixture.bucket();
    const stop = new AbortController();
    const watch = bucket.calls.objects.watch({ bucket: bucket.name }, { signal: stop.signal });
    const next = watch[Symbol.asyncIterator]().next();
    stop.abort();
    const outcome = await next.then(
      ({ done }) => (done ? 'ended' : 'gave an event'),
      (error: unknown) => fails(t, Promise.reject(error), 'Cancelled', 'its error').then(() => 'ended')
    );
    t.equal(outcome, 'ended');
  });

  await t.test('there is no watch of a bucket that is not there', async (t) => {
    const bucket = fixture.bucketName();
    const stop = new AbortController();
    const first = async () => {
      for await (const event of fixture.calls.objects.watch({ bucket }, { signal: stop.signal }))
        return event;
      return undefined;
    };
    await fails(t, first(), 'NoSuchBucket', 'watch');
    stop.abort();
  });
};

/** A token behind every change so far: a watch says nothing when it begins, so changes are made until it gives one. */
async function currentToken(bucket: TestBucket, prefix: string): Promise<string> {
  const stop = new AbortController();
  const watch = bucket.calls.objects.watch({ bucket: bucket.name, prefix }, { signal: stop.signal });
  const iterator = watch[Symbol.asyncIterator]();
  let token: string | undefined;
  const first = iterator.next().then(({ value }) => {
    token = (value as WatchEvent | undefined)?.resumeToken ?? '';
  });
  const key = `${prefix}probe`;
  for (let probe = 0; probe < PROBES_MAX && token === undefined; probe++) {
    await bucket.put(key, '');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await first;
  stop.abort();
  await iterator.return?.().catch(() => {});
  await bucket.put(`${prefix}probes end`, '');
  const tail = await eventsThrough(bucket, { prefix, resumeToken: token! }, `${prefix}probes end`);
  return tail.at(-1)!.resumeToken;
}

/** Events up to the put of a key, without it. */
async function eventsUntil(bucket: TestBucket, from: From, key: string): Promise<WatchEvent[]> {
  return (await eventsThrough(bucket, from, key)).slice(0, -1);
}

interface From {
  readonly prefix?: string;
  readonly resumeToken: string;
}

async function eventsThrough(bucket: TestBucket, from: From, key: string): Promise<WatchEvent[]> {
  return collect(bucket, from, ({ length }, event) => {
    return (event.type === 'put' && event.head.key === key) || length >= 10_000;
  });
}

async function take(bucket: TestBucket, from: From, count: number): Promise<WatchEvent[]> {
  return collect(bucket, from, ({ length }) => length >= count);
}

async function collect(
  bucket: TestBucket,
  from: From,
  isEnough: (events: readonly WatchEvent[], last: WatchEvent) => boolean
): Promise<WatchEvent[]> {
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  try {
    for await (const event of bucket.calls.objects.watch(
      { bucket: bucket.name, ...from },
      { signal: stop.signal }
    )) {
      events.push(event);
      if (isEnough(events, event)) break;
    }
  } finally {
    stop.abort();
  }
  return events;
}

function nameOf(event: WatchEvent): string {
  if (event.type === 'delete') return `delete ${event.key}`;
  return event.type;
}
