import {
  type ListInput,
  type ListResult,
  type ObjectHead,
  type PosixAttributes,
  type StatResult,
  type StoreCalls,
  StoreError,
  type WatchEvent
} from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';

const PATTERN_PERIOD = 251;
const BODY_BYTES_MAX = 8 * 1024 * 1024;
const LIST_KEYS_MAX = 1000;

/** Bytes of every object: position modulo 251, so that misplaced ones show. */
export const PATTERN = Buffer.alloc(BODY_BYTES_MAX + PATTERN_PERIOD);
for (let position = 0; position < PATTERN.length; position++) PATTERN[position] = position % PATTERN_PERIOD;

export function patternAt(offset: number, length: number): Buffer {
  const start = offset % PATTERN_PERIOD;
  return PATTERN.subarray(start, start + length);
}

/**
 * A store that keeps names, sizes and attributes but no bytes: uploads must bring the pattern, and reads give it. It costs
 * next to nothing, so what a drive over it costs is the drive's own. Only the calls that a drive makes.
 */
export function sinkStore(): StoreCalls {
  const other = memoryStore();
  const state = new SinkState();
  const sizes = new Map<string, number>();
  return {
    ...other,
    objects: {
      ...other.objects,
      put: async ({ key, body, attributes }) => state.write(key, body.byteLength, attributes),
      edit: async ({ key, steps, attributes }) => {
        let size = state.find(key)?.size ?? 0;
        for (const step of steps) {
          if (step.type === 'truncate') size = step.size;
          if (step.type === 'write') size = Math.max(size, (step.offset ?? size) + step.length);
        }
        return state.write(key, size, attributes);
      },
      read: async ({ key, offset = 0, length = BODY_BYTES_MAX }) => {
        const head = state.get(key);
        const body = Buffer.from(patternAt(offset, Math.max(0, Math.min(length, head.size - offset))));
        return { head, body, offset, crc32c: 0 };
      },
      head: async ({ key }) => state.get(key),
      stat: async ({ path }) => state.stat(path),
      list: async (input) => state.list(input),
      delete: async ({ key }) => ({ deleted: state.delete(key) }),
      rename: async ({ key, to }) => state.rename(key, to.key),
      setAttributes: async ({ key, attributes }) => state.write(key, state.find(key)?.size ?? 0, attributes),
      watch: (_input, options) => resetOnly(options?.signal)
    },
    uploads: {
      ...other.uploads,
      create: async ({ bucket, key }) => {
        const uploadId = `upload-${sizes.size + 1}`;
        sizes.set(uploadId, 0);
        return { bucket, key, uploadId, createdAtMs: 0, expiresAtMs: 0 };
      },
      write: async ({ uploadId, offset, body }) => {
        if (!patternAt(offset, body.byteLength).equals(body))
          throw new StoreError('BadDigest', `the bytes at ${offset} are not the pattern`);
        sizes.set(uploadId, Math.max(sizes.get(uploadId)!, offset + body.byteLength));
      },
      complete: async ({ key, uploadId, attributes }) => state.write(key, sizes.get(uploadId)!, attributes)
    }
  };
}

class SinkState {
  readonly #heads = new Map<string, ObjectHead>();
  #sorted: string[] = [];
  #isSorted = true;

  find(key: string): ObjectHead | undefined {
    return this.#heads.get(key);
  }

  get(key: string): ObjectHead {
    const head = this.#heads.get(key);
    if (!head) throw new StoreError('NoSuchKey', `there is no ${key}`);
    return head;
  }

  write(key: string, size: number, attributes: object = {}): ObjectHead {
    const before = this.#heads.get(key);
    const generation = (before?.generation ?? 0) + 1;
    const head: ObjectHead = {
      bucket: 'drive',
      key,
      versionId: String(generation),
      generation,
      etag: `${generation}-1`,
      size,
      modifiedAtMs: Date.now(),
      contentType: 'application/octet-stream',
      userMetadata: {},
      tags: {},
      attributes: { ...before?.attributes, ...attributes } as PosixAttributes
    };
    this.#heads.set(key, head);
    if (!before) this.#isSorted = false;
    return head;
  }

  delete(key: string): boolean {
    this.#isSorted = false;
    return this.#heads.delete(key);
  }

  rename(key: string, to: string): ObjectHead {
    const { size, attributes } = this.get(key);
    this.delete(key);
    return this.write(to, size, attributes);
  }

  stat(path: string): StatResult {
    const marker = `${path}/`;
    const head = this.#heads.get(marker);
    if (head) return { type: 'directory', head };
    const object = this.#heads.get(path);
    return object ? { type: 'object', head: object } : { type: 'none' };
  }

  list({ prefix = '', delimiter, continuationToken }: ListInput): ListResult {
    const objects: ObjectHead[] = [];
    const commonPrefixes: { prefix: string; head?: ObjectHead }[] = [];
    const keys = this.#keys();
    let index = firstAfter(keys, continuationToken ?? prefix, continuationToken !== undefined);
    for (; index < keys.length && keys[index]!.startsWith(prefix); index++) {
      const key = keys[index]!;
      if (objects.length + commonPrefixes.length === LIST_KEYS_MAX)
        return { objects, commonPrefixes, isTruncated: true, continuationToken: keys[index - 1]! };
      const end = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      const head = this.#heads.get(key)!;
      if (end < 0) objects.push(head);
      else if (end === key.length - 1) commonPrefixes.push({ prefix: key, head });
    }
    return { objects, commonPrefixes, isTruncated: false };
  }

  #keys(): string[] {
    if (!this.#isSorted) this.#sorted = [...this.#heads.keys()].sort();
    this.#isSorted = true;
    return this.#sorted;
  }
}

function firstAfter(keys: readonly string[], key: string, isExclusive: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const isBefore = isExclusive ? keys[middle]! <= key : keys[middle]! < key;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function* resetOnly(signal: AbortSignal | undefined): AsyncGenerator<WatchEvent> {
  yield { type: 'reset', resumeToken: '0' };
  await new Promise((resolve) => signal?.addEventListener('abort', resolve));
}
