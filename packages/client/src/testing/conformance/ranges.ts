import { crc32c, LIMITS } from '@stampede/server/api';
import { fails, MIB, payload, type Section, sameBytes } from './fixture.js';

export const ranges: Section = async (t, fixture) => {
  for (const size of [1, 1000, 65_536, 65_537, 300_000, 5 * MIB + 3]) {
    await t.test(`ranges of ${size} bytes`, async (t) => {
      const bucket = await fixture.bucket();
      const body = payload(size);
      const { etag } = await bucket.put('k', body);
      const edges = [0, 1, 65_535, 65_536, 65_537, size - 1, size, size + 1, size + 100_000];
      for (const offset of new Set(edges.filter((edge) => edge >= 0))) {
        for (const length of [0, 1, 65_536, 100_000, LIMITS.bodyBytesMax]) {
          const read = await bucket.calls.objects.read({ ...bucket.at('k'), offset, length });
          const wanted = body.subarray(Math.min(offset, size), Math.min(offset + length, size));
          const name = `${length} from ${offset}`;
          if (Buffer.compare(read.body, wanted) !== 0) sameBytes(t, read.body, wanted, name);
          if (read.crc32c !== crc32c(wanted)) t.equal(read.crc32c, crc32c(wanted), `checksum of ${name}`);
          if (read.head.etag !== etag || read.head.size !== size) t.same(read.head, { etag, size }, name);
          if (offset <= size && read.offset !== offset) t.equal(read.offset, offset, `offset of ${name}`);
        }
      }
      const rest = await bucket.calls.objects.read({ ...bucket.at('k'), offset: Math.floor(size / 2) });
      sameBytes(t, rest.body, body.subarray(Math.floor(size / 2)), 'without a length: the rest');
    });
  }

  await t.test('an empty object has an empty range anywhere', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', '');
    for (const offset of [0, 1, 1000]) {
      const { body } = await bucket.calls.objects.read({ ...bucket.at('k'), offset, length: 10 });
      t.equal(body.length, 0, `from ${offset}`);
    }
  });

  await t.test('a read names the version it wants', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k', 'first');
    const read = (conditions: object) => bucket.calls.objects.read({ ...bucket.at('k'), ...conditions });
    t.equal((await read({ ifMatch: first.etag })).head.etag, first.etag, 'by etag');
    t.equal((await read({ ifMatch: 'generation:1' })).head.etag, first.etag, 'by generation');
    t.equal((await read({ ifMatch: '*' })).head.etag, first.etag, 'any');
    await fails(t, read({ ifNoneMatch: first.etag }), 'PreconditionFailed', 'the reader has this one');
    await fails(t, read({ ifNoneMatch: '*' }), 'PreconditionFailed', 'any');
    await bucket.put('k', 'second');
    await fails(t, read({ ifMatch: first.etag }), 'PreconditionFailed', 'replaced, by etag');
    await fails(t, read({ ifMatch: 'generation:1' }), 'PreconditionFailed', 'replaced, by generation');
    t.equal((await read({ ifNoneMatch: first.etag })).head.generation, 2, 'a newer one');
  });
};
