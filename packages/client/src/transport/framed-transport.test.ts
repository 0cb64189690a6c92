import t from 'tap';
import { createStoreClient } from '../create-store-client.js';
import { FrameServer } from '../testing/frame-server.js';
import { memoryStore } from '../testing/memory-store.js';
import { storeCallsConformance } from '../testing/store-calls-conformance.js';

t.test('calls over the framed transport mean what they mean in process', (t) =>
  storeCallsConformance(t, async () => {
    const server = await FrameServer.listen(memoryStore());
    const client = createStoreClient(server.connection);
    return {
      calls: client,
      async [Symbol.asyncDispose]() {
        await client.close();
        await server[Symbol.asyncDispose]();
      }
    };
  })
);
