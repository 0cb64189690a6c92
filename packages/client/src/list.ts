import type {
  BucketHead,
  CallOptions,
  ListInput,
  ObjectHead,
  StoreCalls,
  UploadHead
} from '@stampede/server/api';
import { compareUtf8 } from './utf8-order.js';

export interface ListObjectsInput extends Pick<ListInput, 'bucket' | 'prefix' | 'delimiter' | 'startAfter'> {
  /** Entries of one page; default and most `LIMITS.listKeysMax`. */
  readonly pageSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A key, or the keys that share a prefix up to the delimiter; `head` is then that of the marker, if there is one. */
export type ListEntry =
  | { readonly type: 'object'; readonly head: ObjectHead }
  | { readonly type: 'prefix'; readonly prefix: string; readonly head?: ObjectHead };

export async function* listObjects(calls: StoreCalls, input: ListObjectsInput): AsyncGenerator<ListEntry> {
  const { pageSize, signal, ...query } = input;
  const list = (continuationToken: string | undefined, options: CallOptions) =>
    calls.objects.list({ ...query, maxKeys: pageSize, continuationToken }, options);
  for await (const { objects, commonPrefixes } of pages(list, signal)) {
    const entries: ListEntry[] = [
      ...objects.map((head) => ({ type: 'object' as const, head })),
      ...commonPrefixes.map((common) => ({ type: 'prefix' as const, ...common }))
    ];
    if (objects.length > 0 && commonPrefixes.length > 0)
      entries.sort((a, b) => compareUtf8(nameOf(a), nameOf(b)));
    yield* entries;
  }
}

export async function* listUploads(
  calls: StoreCalls,
  input: {
    readonly bucket: string;
    readonly prefix?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }
): AsyncGenerator<UploadHead> {
  const { signal, ...query } = input;
  const list = (continuationToken: string | undefined, options: CallOptions) =>
    calls.uploads.list({ ...query, continuationToken }, options);
  for await (const { uploads } of pages(list, signal)) yield* uploads;
}

export async function* listBuckets(
  calls: StoreCalls,
  input: { readonly prefix?: string | undefined; readonly signal?: AbortSignal | undefined } = {}
): AsyncGenerator<BucketHead> {
  const { signal, ...query } = input;
  const list = (continuationToken: string | undefined, options: CallOptions) =>
    calls.buckets.list({ ...query, continuationToken }, options);
  for await (const { buckets } of pages(list, signal)) yield* buckets;
}

interface Page {
  readonly isTruncated: boolean;
  readonly continuationToken?: string;
}

/** Every page, the next one being fetched while one is consumed. */
async function* pages<P extends Page>(
  list: (continuationToken: string | undefined, options: CallOptions) => Promise<P>,
  outer: AbortSignal | undefined
): AsyncGenerator<P> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  try {
    let next: Promise<P> | undefined = list(undefined, { signal });
    while (next) {
      const page: P = await next;
      next = page.isTruncated ? list(page.continuationToken, { signal }) : undefined;
      // It is awaited later, or never when the consumer stops.
      next?.catch(() => {});
      yield page;
    }
  } finally {
    stop.abort();
  }
}

function nameOf(entry: ListEntry): string {
  return entry.type === 'object' ? entry.head.key : entry.prefix;
}
