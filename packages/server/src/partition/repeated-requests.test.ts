import t from 'tap';
import { PartitionFixture } from './testing/partition-fixture.js';

const bucket = 'repeats';
const body = Buffer.from('bytes');

t.test('a copy of a refused request that arrives later changes nothing', async (t) => {
  await using fixture = await PartitionFixture.start();
  const { objects, buckets } = fixture.layer;
  await buckets.create({ bucket });
  const edit = () => {
    const steps = [{ type: 'write' as const, offset: 0, length: body.length }];
    return objects.edit({ bucket, key: 'a', steps, body, requestId: 'refused' });
  };
  await t.rejects(edit(), { code: 'NoSuchKey' });
  const { generation } = await objects.put({ bucket, key: 'a', body });
  await t.rejects(edit(), { code: 'NoSuchKey' });
  t.equal((await objects.head({ bucket, key: 'a' })).generation, generation);
});

t.test('a copy of a request that had nothing to do does nothing later', async (t) => {
  await using fixture = await PartitionFixture.start();
  const { objects, buckets } = fixture.layer;
  await buckets.create({ bucket });
  const remove = () => objects.delete({ bucket, key: 'a', requestId: 'nothing' });
  t.same(await remove(), { deleted: false });
  await objects.put({ bucket, key: 'a', body });
  t.same(await remove(), { deleted: false });
  t.equal((await objects.head({ bucket, key: 'a' })).generation, 1);
});
