import { createHash } from 'node:crypto';
import { crc32c, LIMITS } from '@stampede/server/api';
import {
  bytes,
  fails,
  MIB,
  payload,
  type Section,
  sameBytes,
  type TestBucket,
  wrongCrc32c
} from './fixture.js';

const DAY_MS = 24 * 60 * 60 * 1000;

export const uploads: Section = async (t, fixture) => {
  await uploadsByWrites(t, fixture);
  await uploadsByParts(t, fixture);
};

const uploadsByWrites: Section = async (t, fixture) => {
  await t.test('an upload is seen only when it is complete', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(9 * MIB + 11);
    const upload = await start(bucket, 'k', { contentType: 'text/plain', attributes: { mode: 0o100644 } });
    t.equal(upload.head.bucket, bucket.name);
    t.equal(upload.head.key, 'k');
    t.ok(
      upload.head.expiresAtMs - upload.head.createdAtMs === LIMITS.uploadLifetimeMsDefault,
      'lives 7 days'
    );
    // Out of order, as blocks in flight arrive.
    for (const offset of [8 * MIB, 0, 4 * MIB])
      await upload.write(offset, body.subarray(offset, offset + 4 * MIB));
    await fails(t, bucket.head('k'), 'NoSuchKey', 'not yet');
    t.same(await bucket.keys(), []);
    t.equal((await bucket.calls.buckets.head({ bucket: bucket.name })).usage.objectCount, 0);
    const head = await upload.complete({ crc32c: crc32c(body), userMetadata: { a: 'b' } });
    t.equal(head.size, body.length);
    t.equal(head.generation, 1);
    t.equal(head.contentType, 'text/plain', 'what create said');
    t.same(head.attributes, { mode: 0o100644 });
    t.same(head.userMetadata, { a: 'b' }, 'what complete said');
    t.ok(/-\d+$/.test(head.etag), 'an etag that is no MD5');
    if (head.crc32c !== undefined) t.equal(head.crc32c, crc32c(body));
    sameBytes(t, await bucket.bytes('k'), body, 'bytes');
    await fails(t, upload.write(0, bytes('x')), 'NoSuchUpload', 'it is over');
    await fails(t, upload.abort(), 'NoSuchUpload', 'nothing to abort');
    t.same((await bucket.calls.uploads.list({ bucket: bucket.name })).uploads, []);
  });

  await t.test('an upload replaces what is there, whatever that is by then', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', 'old');
    const upload = await start(bucket, 'k');
    await upload.write(0, bytes('new'));
    await bucket.put('k', 'newer than the start');
    const head = await upload.complete();
    t.equal(head.generation, 3);
    t.equal(await bucket.text('k'), 'new');
  });

  await t.test('writes, truncates and punches lie over each other in order', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    await upload.write(2, bytes('cdefgh'));
    await upload.write(4, bytes('EF'));
    await upload.punch(3, 1);
    await upload.truncate(7);
    await upload.truncate(9);
    await upload.write(8, bytes('i'));
    await upload.punch(100, 5);
    const wanted = '\0\0c\0EFg\0i';
    const head = await upload.complete({ crc32c: crc32c(bytes(wanted)) });
    t.equal(await bucket.text('k'), wanted);
    t.equal(head.size, 9);
  });

  await t.test('an upload without bytes is an empty object', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    t.equal((await upload.complete()).size, 0);
  });

  await t.test('a wrong checksum of a block or of the whole is refused', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    const body = bytes('body');
    await fails(t, upload.write(0, body, { crc32c: wrongCrc32c(body) }), 'BadDigest', 'block');
    await upload.write(0, body, { crc32c: crc32c(body) });
    await fails(t, upload.complete({ crc32c: wrongCrc32c(body) }), 'BadDigest', 'whole');
    await fails(t, bucket.head('k'), 'NoSuchKey', 'nothing became visible');
    await upload.complete({ crc32c: crc32c(body) });
    t.equal(await bucket.text('k'), 'body', 'the upload was still there');
  });

  await t.test('an aborted upload leaves nothing', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', 'old');
    const before = await bucket.snapshot();
    const upload = await start(bucket, 'k');
    await upload.write(0, bytes('new'));
    await upload.abort();
    await fails(t, upload.complete(), 'NoSuchUpload', 'complete');
    await fails(t, upload.write(0, bytes('new')), 'NoSuchUpload', 'write');
    t.same(await bucket.snapshot(), before);
  });

  await t.test('an upload from an object changes what it writes', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.calls.objects.put({
      ...bucket.at('k'),
      body: bytes('0123456789'),
      contentType: 'text/plain',
      userMetadata: { a: '1' },
      attributes: { mode: 0o100640, uid: 3 }
    });
    const upload = await start(bucket, 'k', { from: {} });
    await upload.write(2, bytes('ab'));
    const head = await upload.complete({ attributes: { uid: 4 } });
    t.equal(await bucket.text('k'), '01ab456789');
    t.equal(head.generation, 2);
    t.equal(head.contentType, 'text/plain', 'what nobody said anew stays');
    t.same(head.userMetadata, { a: '1' });
    t.same(head.attributes, { mode: 0o100640, uid: 4 });
  });

  await t.test('an upload from an object that has changed since is refused', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k', '0123456789');
    const upload = await start(bucket, 'k', { from: { ifMatch: first.etag } });
    await upload.write(2, bytes('ab'));
    await bucket.put('k', 'ABCDEFGHIJKL');
    await fails(t, upload.complete(), 'PreconditionFailed', 'changed');
    t.equal(await bucket.text('k'), 'ABCDEFGHIJKL');
    await upload.complete({ rebase: true });
    t.equal(await bucket.text('k'), 'ABabEFGHIJKL', 'rebased: only what was written');
    const stale = { ...bucket.at('k'), from: { ifMatch: first.etag } };
    await fails(t, bucket.calls.uploads.create(stale), 'PreconditionFailed', 'started from another version');
    const none = { ...bucket.at('none'), from: {} };
    await fails(t, bucket.calls.uploads.create(none), 'NoSuchKey', 'started from nothing');
  });

  await t.test('a rebase lays writes, cuts and holes over the newest version', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', '0123456789');
    const upload = await start(bucket, 'k', { from: {} });
    await upload.truncate(8);
    await upload.write(1, bytes('a'));
    await upload.punch(3, 2);
    const changed = await bucket.calls.objects.edit({
      ...bucket.at('k'),
      steps: [{ type: 'write', offset: 0, length: 12 }],
      body: bytes('ABCDEFGHIJKL'),
      userMetadata: { by: 'another' }
    });
    const head = await upload.complete({ rebase: true });
    t.equal(await bucket.text('k'), 'AaC\0\0FGH');
    t.equal(head.generation, changed.generation + 1);
    t.same(head.userMetadata, { by: 'another' }, 'what the newest version says');
  });

  await t.test('an upload from another object starts with its bytes', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('source', 'source');
    const upload = await start(bucket, 'k', { from: { key: 'source' } });
    await upload.write(0, bytes('S'));
    await upload.complete();
    t.equal(await bucket.text('k'), 'Source');
    t.equal(await bucket.text('source'), 'source');
  });

  await t.test('ranges of other objects are laid in without their bytes travelling', async (t) => {
    const bucket = await fixture.bucket();
    const other = await fixture.bucket();
    const body = payload(100_000);
    await bucket.put('near', body);
    await other.put('far', body);
    const upload = await start(bucket, 'k');
    const copy = (offset: number, source: object) =>
      bucket.calls.uploads.copyRange({
        ...upload.name,
        offset,
        source: { key: 'near', offset: 0, length: 10, ...source }
      });
    t.equal(await copy(0, { offset: 65_000, length: 1000 }), undefined, 'no part, no answer');
    await copy(1000, { bucket: other.name, key: 'far', offset: 99_990 });
    await copy(1020, {});
    await bucket.put('near', 'changed later');
    await fails(
      t,
      copy(0, { offset: 10, length: 10 }),
      ['InvalidRange', 'InvalidArgument'],
      'beyond the end'
    );
    await fails(t, copy(0, { key: 'none' }), 'NoSuchKey', 'no source');
    await fails(t, copy(0, { ifMatch: 'generation:1' }), 'PreconditionFailed', 'another version');
    await upload.complete();
    const wanted = new Uint8Array(1030);
    wanted.set(body.subarray(65_000, 66_000));
    wanted.set(body.subarray(99_990), 1000);
    wanted.set(body.subarray(0, 10), 1020);
    sameBytes(t, await bucket.bytes('k'), wanted, 'bytes as they were when copied');
  });

  await t.test('uploads are listed in order, page by page, with their times', async (t) => {
    const bucket = await fixture.bucket();
    const made = [];
    for (const key of ['b', 'a/2', 'a/1', 'a/1'])
      made.push((await start(bucket, key, { expiresInMs: DAY_MS })).head);
    t.equal(made[0]!.expiresAtMs, made[0]!.createdAtMs + DAY_MS);
    const all = await bucket.calls.uploads.list({ bucket: bucket.name });
    t.same(
      all.uploads.map(({ key }) => key),
      ['a/1', 'a/1', 'a/2', 'b']
    );
    t.same(
      [...all.uploads].sort((x, y) => (x.uploadId < y.uploadId ? -1 : 1)),
      [...made].sort((x, y) => (x.uploadId < y.uploadId ? -1 : 1)),
      'each once'
    );
    const below = await bucket.calls.uploads.list({ bucket: bucket.name, prefix: 'a/' });
    t.equal(below.uploads.length, 3);
    const paged: string[] = [];
    let continuationToken: string | undefined;
    do {
      const page = await bucket.calls.uploads.list({ bucket: bucket.name, maxUploads: 1, continuationToken });
      t.ok(page.uploads.length <= 1, 'one a page');
      paged.push(...page.uploads.map(({ uploadId }) => uploadId));
      ({ continuationToken } = page);
    } while (continuationToken !== undefined && paged.length < 10);
    t.same(
      paged,
      all.uploads.map(({ uploadId }) => uploadId)
    );
  });

  await t.test('an upload answers only to its own bucket, key and id', async (t) => {
    const bucket = await fixture.bucket();
    const other = await fixture.bucket();
    const upload = await start(bucket, 'k');
    const { uploadId } = upload.name;
    const write = { offset: 0, body: bytes('x') };
    const names = [
      { ...bucket.at('k'), uploadId: 'no-such-upload' },
      { ...bucket.at('other'), uploadId },
      { ...other.at('k'), uploadId }
    ];
    for (const name of names) {
      await fails(t, bucket.calls.uploads.write({ ...name, ...write }), 'NoSuchUpload', 'write');
      await fails(t, bucket.calls.uploads.truncate({ ...name, size: 5 }), 'NoSuchUpload', 'truncate');
      await fails(t, bucket.calls.uploads.punch({ ...name, offset: 0, length: 5 }), 'NoSuchUpload', 'punch');
      await fails(
        t,
        bucket.calls.uploads.putPart({ ...name, partNumber: 1, body: bytes('x') }),
        'NoSuchUpload',
        'part'
      );
      await fails(t, bucket.calls.uploads.listParts(name), 'NoSuchUpload', 'listParts');
      await fails(t, bucket.calls.uploads.complete(name), 'NoSuchUpload', 'complete');
      await fails(t, bucket.calls.uploads.abort(name), 'NoSuchUpload', 'abort');
    }
    await upload.write(0, bytes('mine'));
    t.equal((await upload.complete()).size, 4);
  });
};

const uploadsByParts: Section = async (t, fixture) => {
  const MIN = LIMITS.partBytesMin;

  await t.test('parts make an object in the order that complete names', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k', { contentType: 'text/plain' });
    const bodies = [payload(MIN), payload(MIN + 1, 50), payload(10, 100)];
    const last = await upload.part(9, bodies[2]!);
    const first = await upload.part(2, bodies[0]!, { crc32c: crc32c(bodies[0]!) });
    const second = await upload.part(5, bodies[1]!);
    t.equal(first.partNumber, 2);
    t.equal(first.size, MIN);
    t.equal(first.crc32c, crc32c(bodies[0]!));
    await upload.part(7, bytes('not named later'));
    const { parts } = await bucket.calls.uploads.listParts(upload.name);
    t.same(
      parts.map(({ partNumber }) => partNumber),
      [2, 5, 7, 9]
    );
    t.same(parts[1], second);
    const body = Buffer.concat(bodies);
    const head = await upload.complete({
      parts: [first, second, last].map(({ partNumber, etag }) => ({ partNumber, etag })),
      crc32c: crc32c(body)
    });
    t.equal(head.size, body.length);
    t.equal(head.contentType, 'text/plain');
    t.ok(/-\d+$/.test(head.etag), 'an etag that is no MD5');
    sameBytes(t, await bucket.bytes('k'), body, 'bytes');
  });

  await t.test('a part is replaced, or arrives in pieces in order', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    const first = await upload.part(1, bytes('first try'));
    const again = await upload.part(1, bytes('sec'));
    t.ok(again.etag !== first.etag, 'another etag');
    await fails(
      t,
      upload.part(1, bytes('x'), { offset: 5 }),
      ['InvalidArgument', 'InvalidPart', 'InvalidRange'],
      'a gap'
    );
    const whole = await upload.part(1, bytes('ond'), { offset: 3 });
    t.equal(whole.size, 6);
    t.equal(whole.crc32c, crc32c(bytes('second')));
    const wrong = { crc32c: crc32c(bytes('!')) };
    await fails(t, upload.part(2, bytes('x'), wrong), 'BadDigest', 'another checksum');
    await upload.complete({ parts: [{ partNumber: 1, etag: whole.etag }] });
    t.equal(await bucket.text('k'), 'second');
  });

  await t.test('an MD5 becomes the etag of the part', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    const md5 = createHash('md5').update('part').digest('hex');
    t.equal((await upload.part(1, bytes('part'), { md5 })).etag, md5);
    await upload.abort();
  });

  await t.test('a range of an object becomes a part', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(100_000);
    await bucket.put('source', body);
    const upload = await start(bucket, 'k');
    const copy = (offset: number) =>
      bucket.calls.uploads.copyRange({
        ...upload.name,
        offset,
        partNumber: 1,
        source: { key: 'source', offset: 50, length: 70_000 }
      });
    await fails(t, copy(5), 'InvalidArgument', 'a part has no offset');
    const part = await copy(0);
    t.equal(part?.size, 70_000);
    t.equal(part?.crc32c, crc32c(body.subarray(50, 70_050)));
    await upload.complete({ parts: [{ partNumber: 1, ...(part && { etag: part.etag }) }] });
    sameBytes(t, await bucket.bytes('k'), body.subarray(50, 70_050), 'bytes');
  });

  await t.test('parts that are missing, wrong, out of order or too small are refused', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', 'old');
    const upload = await start(bucket, 'k');
    const one = await upload.part(1, payload(MIN));
    await upload.part(2, bytes('small'));
    await upload.part(3, bytes('small'));
    await upload.part(4, payload(MIN));
    const before = await bucket.snapshot();
    const complete = (...parts: { partNumber: number; etag?: string }[]) => upload.complete({ parts });
    await fails(t, complete({ partNumber: 1 }, { partNumber: 5 }), 'InvalidPart', 'missing');
    const wrong = { partNumber: 1, etag: 'ffffffffffffffffffffffffffffffff' };
    await fails(t, complete(wrong), 'InvalidPart', 'another etag');
    await fails(t, complete({ partNumber: 4 }, { partNumber: 1 }), 'InvalidPart', 'out of order');
    await fails(t, complete({ partNumber: 1 }, { partNumber: 1 }), 'InvalidPart', 'twice');
    await fails(t, complete({ partNumber: 2 }, { partNumber: 3 }), 'EntityTooSmall', 'small before the last');
    t.same(await bucket.snapshot(), before, 'nothing changed');
    await complete({ partNumber: 1, etag: one.etag }, { partNumber: 3 });
    sameBytes(
      t,
      await bucket.bytes('k'),
      Buffer.concat([payload(MIN), bytes('small')]),
      'the upload was still there'
    );
  });

  await t.test('parts are listed page by page', async (t) => {
    const bucket = await fixture.bucket();
    const upload = await start(bucket, 'k');
    for (const partNumber of [3, 1, 10_000, 20]) await upload.part(partNumber, bytes(`part ${partNumber}`));
    const found: number[] = [];
    let partNumberMarker: number | undefined;
    do {
      const page = await bucket.calls.uploads.listParts({ ...upload.name, maxParts: 1, partNumberMarker });
      t.ok(page.parts.length <= 1, 'one a page');
      found.push(...page.parts.map(({ partNumber }) => partNumber));
      partNumberMarker = page.nextPartNumberMarker;
    } while (partNumberMarker !== undefined && found.length < 10);
    t.same(found, [1, 3, 20, 10_000]);
    await upload.abort();
  });
};

async function start(bucket: TestBucket, key: string, more: object = {}) {
  const head = await bucket.calls.uploads.create({ ...bucket.at(key), ...more });
  const name = { ...bucket.at(key), uploadId: head.uploadId };
  const { uploads: calls } = bucket.calls;
  return {
    head,
    name,
    write: (offset: number, body: Uint8Array, options: object = {}) =>
      calls.write({ ...name, offset, body, ...options }),
    truncate: (size: number) => calls.truncate({ ...name, size }),
    punch: (offset: number, length: number) => calls.punch({ ...name, offset, length }),
    part: (partNumber: number, body: Uint8Array, options: object = {}) =>
      calls.putPart({ ...name, partNumber, body, ...options }),
    complete: (options: object = {}) => calls.complete({ ...name, ...options }),
    abort: () => calls.abort(name)
  };
}
