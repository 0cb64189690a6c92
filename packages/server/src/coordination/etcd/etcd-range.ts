import { isStoreError, StoreError } from '../../api/index.js';
import type { MetaEntry, MetaRange } from '../meta-store.js';
import type { EtcdClient, Patience } from './etcd-client.js';
import { isTooLarge } from './etcd-errors.js';

/** As etcd has it. */
export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly mod_revision: string;
  readonly create_revision: string;
}

interface Page {
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly header: { readonly revision: string };
}

/** A page is small, as nobody knows how large the values are, and grows while they are. */
const PAGE_KEYS_START = 128;
const PAGE_KEYS_MAX = 8192;
const PAGE_BYTES_GOOD = 1024 * 1024;

export function entryOf(client: EtcdClient, kv: KeyValue): MetaEntry {
  return {
    key: client.nameOf(kv.key),
    value: new Uint8Array(kv.value),
    revision: Number(kv.mod_revision),
    createRevision: Number(kv.create_revision)
  };
}

/** All entries below a prefix, by pages that are all as of one revision. */
export async function readRange(client: EtcdClient, prefix: string, patience: Patience): Promise<MetaRange> {
  for (;;) {
    try {
      return await readPages(client, prefix, patience);
    } catch (error) {
      // Its revision was compacted between two pages.
      if (!isStoreError(error, 'MetaCompacted')) throw error;
    }
  }
}

async function readPages(client: EtcdClient, prefix: string, patience: Patience): Promise<MetaRange> {
  const entries: MetaEntry[] = [];
  let { key, range_end } = client.rangeOf(prefix);
  let revision: number | undefined;
  let limit = PAGE_KEYS_START;
  for (;;) {
    const request = { key, range_end, limit, ...(revision && { revision: String(revision) }) };
    const page = await readPage(client, request, patience);
    if (!page) {
      limit = Math.max(1, limit >> 2);
      continue;
    }
    revision ??= Number(page.header.revision);
    for (const kv of page.kvs) entries.push(entryOf(client, kv));
    if (!page.more) return { entries, revision };
    key = Buffer.concat([page.kvs.at(-1)!.key, Buffer.of(0)]);
    if (bytesOf(page) < PAGE_BYTES_GOOD) limit = Math.min(PAGE_KEYS_MAX, limit * 4);
    else if (bytesOf(page) > 4 * PAGE_BYTES_GOOD) limit = Math.max(1, limit >> 2);
  }
}

/** `undefined`: it would be larger than the client takes. */
async function readPage(
  client: EtcdClient,
  request: { readonly key: Buffer; readonly range_end: Buffer; readonly limit: number },
  patience: Patience
): Promise<Page | undefined> {
  try {
    return await client.call('repeatable', patience, ({ etcd, options }) => etcd.kv.range(request, options));
  } catch (error) {
    if (request.limit > 1 && error instanceof StoreError && isTooLarge(error.cause)) return undefined;
    throw error;
  }
}

function bytesOf({ kvs }: Page): number {
  let bytes = 0;
  for (const { key, value } of kvs) bytes += key.byteLength + value.byteLength;
  return bytes;
}
