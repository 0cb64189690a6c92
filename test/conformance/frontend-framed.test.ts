import { isStoreError } from '@stampede/server/api';
import t from 'tap';
import { FrameClient } from '../support/frame-client.js';
import { testFrontEnd } from '../support/front-end.js';

t.test('carries calls and bytes both ways', async (t) => {
  await using store = await testFrontEnd();
  using client = await FrameClient.open({ port: store.port, token: await store.token() });
  await client.call('mutation', 'buckets.create', { bucket: 'photos' });
  const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
  await client.call('mutation', 'objects.put', { bucket: 'photos', key: 'a', body });
  const answer = (await client.call('query', 'objects.read', { bucket: 'photos', key: 'a' })) as {
    body: Uint8Array;
  };
  t.ok(body.equals(answer.body));
  const error = await client
    .call('query', 'objects.head', { bucket: 'photos', key: 'b' })
    .catch((error: unknown) => error);
  t.ok(isStoreError(error, 'NoSuchKey'));
});
