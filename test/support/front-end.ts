import { Writable } from 'node:stream';
import { memoryStore } from '@stampede/client/testing';
import { type StoreCalls, signToken } from '@stampede/server/api';
import { type Clock, systemClock, systemNetwork } from '@stampede/server/platform';
import { memoryOrderedStore, seededRandom } from '@stampede/server/testing';
import pino from 'pino';
import { openEmbeddedMetaStore } from '../../packages/server/src/coordination/index.js';
import { type FrontEnd, openFrontEnd } from '../../packages/server/src/frontend/index.js';

export const ROOT = { accessKey: 'ROOT', secretKey: 'the-secret-of-the-root-key' };

export interface TestFrontEnd extends AsyncDisposable {
  readonly frontEnd: FrontEnd;
  readonly endpoint: string;
  readonly port: number;
  /** Every log line so far, from the most detailed level up. */
  readonly lines: readonly string[];
  /** A token of the root key, or of another one. */
  token(credentials?: { readonly accessKey: string; readonly secretKey: string }): Promise<string>;
}

export interface TestFrontEndOptions {
  /** What lies below; default a store in memory. */
  readonly store?: StoreCalls;
  readonly clock?: Clock;
  readonly isReady?: () => boolean;
  /** Default true. */
  readonly listens?: boolean;
  /** The least level that is logged; default all. */
  readonly level?: string;
}

/** A front end that listens on a free port of this machine, over a store in memory. */
export async function testFrontEnd(options: TestFrontEndOptions = {}): Promise<TestFrontEnd> {
  const {
    store = memoryStore(),
    clock = systemClock(),
    isReady = () => true,
    level = 'trace',
    listens = true
  } = options;
  const random = seededRandom(1);
  const meta = await openEmbeddedMetaStore({ store: await memoryOrderedStore(), clock, random });
  const lines: string[] = [];
  const sink = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(line.toString());
      done();
    }
  });
  const frontEnd = await openFrontEnd({
    layer: { ...store, partitions: async () => [], close: async () => undefined },
    meta,
    network: systemNetwork(),
    clock,
    random,
    logger: pino({ level }, sink),
    root: ROOT,
    status: (callOptions) => store.admin.status(callOptions),
    membership: {
      members: async () => ({ members: [] }),
      extents: (input) => store.admin.extents(input) as Promise<never>,
      drain: (input) => store.admin.drain(input),
      removeMember: (input) => store.admin.removeMember(input),
      scrub: () => store.admin.scrub()
    },
    isReady,
    ...(listens && { listen: { host: '127.0.0.1', port: 0 } })
  });
  const endpoint = frontEnd.endpoint ?? 'http://127.0.0.1:0';
  return {
    frontEnd,
    endpoint,
    port: Number(new URL(endpoint).port),
    lines,
    token: (credentials = ROOT) => signToken({ ...credentials, nowMs: clock.nowMs() }),
    async [Symbol.asyncDispose]() {
      await frontEnd.close();
      await meta.close();
    }
  };
}
