import { join } from 'node:path';
import { createStoreClient } from '@stampede/client';
import { storeCallsConformance } from '@stampede/client/testing';
import { startStamp } from '@stampede/server';
import t from 'tap';
import { scratch } from '../support/store-process.js';

/* The executable meaning of the calls, on the live store, over every way to reach it. */

t.test('in process', (t) =>
  storeCallsConformance(t, async () => {
    const folder = scratch();
    const stamp = await startStamp({ directory: join(folder.path, 'data'), durability: 'os' });
    return {
      calls: stamp.calls,
      async [Symbol.asyncDispose]() {
        await stamp.close();
        folder[Symbol.dispose]();
      }
    };
  })
);

t.test('over the framed transport', (t) =>
  storeCallsConformance(t, async () => {
    const folder = scratch();
    const stamp = await startStamp({ directory: join(folder.path, 'data'), durability: 'os', port: 0 });
    const client = createStoreClient({ ...stamp.credentials, endpoint: stamp.endpoint! });
    return {
      calls: client,
      async [Symbol.asyncDispose]() {
        await client.close();
        await stamp.close();
        folder[Symbol.dispose]();
      }
    };
  })
);
