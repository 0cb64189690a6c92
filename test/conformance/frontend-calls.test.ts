import { createStoreClient } from '@stampede/client';
import { type StoreCallsSection, storeCallsConformance } from '@stampede/client/testing';
import type { StoreCalls } from '@stampede/server/api';
import t from 'tap';
import { WebSocket } from 'ws';
import { trpcHttpCalls, trpcWebSocketCalls } from '../../packages/client/src/testing/trpc-calls.js';
import { ROOT, type TestFrontEnd, testFrontEnd } from '../support/front-end.js';

t.setTimeout(120_000);

/* Each way through the front end gives the calls their meaning, over a store whose meaning is known. */

interface Way {
  readonly name: string;
  /** Where each call takes its time, those that differ in how they travel; default all. */
  readonly sections?: readonly StoreCallsSection[];
  readonly open: (store: TestFrontEnd) => {
    readonly calls: StoreCalls;
    readonly close?: () => Promise<void>;
  };
}

const TRAVELS: readonly StoreCallsSection[] = ['puts', 'ranges', 'bad input'];

const WAYS: readonly Way[] = [
  { name: 'in the process', open: ({ frontEnd }) => ({ calls: frontEnd.calls }) },
  {
    name: 'over the framed transport',
    open: ({ endpoint }) => {
      const client = createStoreClient({ ...ROOT, endpoint });
      return { calls: client, close: () => client.close() };
    }
  },
  {
    name: 'over HTTP with tRPC, in batches',
    sections: TRAVELS,
    open: (store) => ({ calls: trpcHttpCalls({ ...store, isBatched: true }) })
  },
  {
    name: 'over HTTP with tRPC, one by one',
    sections: ['puts', 'bad input'],
    open: (store) => ({ calls: trpcHttpCalls({ ...store, isBatched: false }) })
  },
  {
    name: 'over WebSocket with tRPC',
    sections: [...TRAVELS, 'watches'],
    open: (store) => trpcWebSocketCalls({ ...store, WebSocket })
  }
];

for (const { name, open, sections } of WAYS) {
  t.test(name, (t) =>
    storeCallsConformance(
      t,
      async () => {
        const store = await testFrontEnd();
        const { calls, close } = open(store);
        return {
          calls,
          async [Symbol.asyncDispose]() {
            await close?.();
            await store[Symbol.asyncDispose]();
          }
        };
      },
      sections && { sections }
    )
  );
}
