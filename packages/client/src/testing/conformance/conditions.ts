import type { ObjectHead } from '@stampede/server/api';
import { bytes, fails, type Section, type TestBucket } from './fixture.js';

interface Conditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

/** What the key holds when the condition is judged. */
type Before = 'nothing' | 'object';

const TABLE: readonly {
  readonly name: string;
  readonly before: Before;
  readonly conditions: (head: ObjectHead | undefined) => Conditions;
  readonly holds: boolean;
}[] = [
  { name: 'its etag', before: 'object', conditions: (head) => ({ ifMatch: head!.etag }), holds: true },
  {
    name: 'its generation',
    before: 'object',
    conditions: (head) => ({ ifMatch: `generation:${head!.generation}` }),
    holds: true
  },
  { name: 'any version', before: 'object', conditions: () => ({ ifMatch: '*' }), holds: true },
  {
    name: 'another etag',
    before: 'object',
    conditions: () => ({ ifMatch: 'ffffffffffffffffffffffffffffffff-9' }),
    holds: false
  },
  {
    name: 'an older generation',
    before: 'object',
    conditions: (head) => ({ ifMatch: `generation:${head!.generation - 1}` }),
    holds: false
  },
  { name: 'no version', before: 'object', conditions: () => ({ ifNoneMatch: '*' }), holds: false },
  {
    name: 'not its etag',
    before: 'object',
    conditions: (head) => ({ ifNoneMatch: head!.etag }),
    holds: false
  },
  {
    name: 'not another etag',
    before: 'object',
    conditions: () => ({ ifNoneMatch: 'ffffffffffffffffffffffffffffffff-9' }),
    holds: true
  },
  { name: 'any version', before: 'nothing', conditions: () => ({ ifMatch: '*' }), holds: false },
  {
    name: 'an etag',
    before: 'nothing',
    conditions: () => ({ ifMatch: 'ffffffffffffffffffffffffffffffff-9' }),
    holds: false
  },
  { name: 'no version', before: 'nothing', conditions: () => ({ ifNoneMatch: '*' }), holds: true }
];

type Mutation = (bucket: TestBucket, key: string, conditions: Conditions) => Promise<unknown>;

/** Every mutation that judges a condition on the key it changes. */
const MUTATIONS: Readonly<Record<string, { readonly run: Mutation }>> = {
  put: {
    run: (bucket, key, conditions) =>
      bucket.calls.objects.put({ ...bucket.at(key), body: bytes('new'), ...conditions })
  },
  'edit that may create': {
    run: (bucket, key, conditions) =>
      bucket.calls.objects.edit({
        ...bucket.at(key),
        steps: [{ type: 'write', length: 3 }],
        body: bytes('new'),
        create: true,
        ...conditions
      })
  },
  copy: {
    run: (bucket, key, conditions) =>
      bucket.calls.objects.copy({ ...bucket.at('source'), to: { key }, ...conditions })
  },
  rename: {
    run: (bucket, key, conditions) =>
      bucket.calls.objects.rename({ ...bucket.at('source'), to: { key }, ...conditions })
  },
  compose: {
    run: (bucket, key, conditions) =>
      bucket.calls.objects.compose({ ...bucket.at(key), sources: [{ key: 'source' }], ...conditions })
  },
  'complete of an upload': {
    run: async (bucket, key, conditions) => {
      const { uploadId } = await bucket.calls.uploads.create(bucket.at(key));
      await bucket.calls.uploads.write({ ...bucket.at(key), uploadId, offset: 0, body: bytes('new') });
      try {
        await bucket.calls.uploads.complete({ ...bucket.at(key), uploadId, ...conditions });
      } catch (error) {
        await bucket.calls.uploads.abort({ ...bucket.at(key), uploadId });
        throw error;
      }
    }
  },
  delete: {
    run: (bucket, key, conditions) => bucket.calls.objects.delete({ ...bucket.at(key), ...conditions })
  }
};

export const conditions: Section = async (t, fixture) => {
  for (const [mutation, { run }] of Object.entries(MUTATIONS)) {
    await t.test(`${mutation} is judged on what the key holds`, async (t) => {
      const bucket = await fixture.bucket();
      for (const [index, row] of TABLE.entries()) {
        const key = `target-${index}`;
        await bucket.put('source');
        const head = row.before === 'object' ? await bucket.put(key, 'old') : undefined;
        const given = row.conditions(head);
        const name = `${row.name}, there is ${row.before}`;
        const before = await bucket.snapshot();
        if (row.holds) {
          await run(bucket, key, given);
          t.ok(true, `${name}: done`);
        } else {
          await fails(t, run(bucket, key, given), 'PreconditionFailed', `${name}: refused`);
          t.same(await bucket.snapshot(), before, `${name}: nothing changed`);
        }
      }
    });
  }

  await t.test('setAttributes is judged on what the key holds', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k');
    const set = (ifMatch: string) =>
      bucket.calls.objects.setAttributes({ ...bucket.at('k'), attributes: { uid: 7 }, ifMatch });
    await fails(t, set('generation:9'), 'PreconditionFailed', 'another generation');
    t.same((await bucket.head('k')).attributes, {}, 'nothing changed');
    t.equal((await set(first.etag)).attributes.uid, 7, 'its etag');
  });

  await t.test('copy and rename judge their source too', async (t) => {
    const bucket = await fixture.bucket();
    const source = await bucket.put('source');
    const wrong = { ...bucket.at('source'), to: { key: 'target' }, sourceIfMatch: 'generation:9' };
    await fails(t, bucket.calls.objects.copy(wrong), 'PreconditionFailed', 'copy');
    await fails(t, bucket.calls.objects.rename(wrong), 'PreconditionFailed', 'rename');
    await fails(t, bucket.head('target'), 'NoSuchKey', 'no target');
    const right = { ...wrong, sourceIfMatch: source.etag };
    await bucket.calls.objects.copy(right);
    await bucket.calls.objects.rename({ ...right, to: { key: 'other' } });
    t.same(await bucket.keys(), ['other', 'target']);
  });

  await t.test('a generation judges the attributes too, an etag only the bytes', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k');
    const second = await bucket.calls.objects.setAttributes({
      ...bucket.at('k'),
      attributes: { mode: 0o100600 }
    });
    t.equal(second.etag, first.etag, 'the etag stays');
    t.equal(second.generation, 2, 'the generation grows');
    const put = (ifMatch: string) =>
      bucket.calls.objects.put({ ...bucket.at('k'), body: bytes('x'), ifMatch });
    await fails(t, put('generation:1'), 'PreconditionFailed', 'by generation');
    t.equal((await put(first.etag)).generation, 3, 'by etag');
  });

  await t.test('of many who create one key, one does', async (t) => {
    const bucket = await fixture.bucket();
    const puts = Array.from({ length: 20 }, (_, index) =>
      bucket.calls.objects
        .put({ ...bucket.at('k'), body: bytes(`writer ${index}`), ifNoneMatch: '*' })
        .then(() => `writer ${index}`)
    );
    const outcomes = await Promise.allSettled(puts);
    const winners = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    t.equal(winners.length, 1, 'one');
    t.equal(await bucket.text('k'), winners[0], 'and its bytes are there');
    for (const [index, outcome] of outcomes.entries())
      if (outcome.status === 'rejected')
        await fails(t, Promise.reject(outcome.reason), 'PreconditionFailed', `writer ${index} is told`);
  });

  await t.test('a counter changed by compare and set loses no step', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('counter', '0');
    const addOne = async (): Promise<void> => {
      for (;;) {
        const { head, body } = await bucket.calls.objects.read(bucket.at('counter'));
        const next = bytes(String(Number(Buffer.from(body).toString()) + 1));
        const put = { ...bucket.at('counter'), body: next, ifMatch: `generation:${head.generation}` };
        const isDone = await bucket.calls.objects.put(put).then(
          () => true,
          async (error: unknown) => {
            await fails(t, Promise.reject(error), 'PreconditionFailed', 'somebody was faster');
            return false;
          }
        );
        if (isDone) return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, addOne));
    t.equal(await bucket.text('counter'), '8');
    t.equal((await bucket.head('counter')).generation, 9);
  });
};
