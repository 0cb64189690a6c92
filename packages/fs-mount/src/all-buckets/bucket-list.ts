import { bucketNameSchema, isStoreError, type StoreCalls } from '@stampede/client';
import { BoundedMap } from '../bounded-map.js';
import type { Clock } from '../clock.js';
import { FileSystemError } from '../errno.js';

const KNOWN_COUNT_MAX = 10_000;

export interface KnownBucket {
  readonly name: string;
  readonly createdAtMs: number;
}

interface Known extends KnownBucket {
  readonly askedAtMs: number;
}

export interface BucketListOptions {
  readonly store: StoreCalls;
  readonly clock: Clock;
  /** How long a bucket is believed to be there. */
  readonly ttlMs: number;
}

/** Which buckets there are for the access key of the drive. */
export class BucketList {
  readonly #options: BucketListOptions;
  readonly #known = new BoundedMap<string, Known>({ limit: KNOWN_COUNT_MAX });
  /** An answer that a removal overtook is not remembered. */
  #removalCount = 0;

  constructor(options: BucketListOptions) {
    this.#options = options;
  }

  /**
   * Undefined where there is no bucket of that name. Names that no bucket can have cost no call.
   *
   * @throws StoreError `AccessDenied` for a bucket that the key is not for.
   */
  async find(name: string): Promise<KnownBucket | undefined> {
    const { store, clock, ttlMs } = this.#options;
    const known = this.#known.get(name);
    const askedAtMs = clock.monotonicMs();
    if (known && askedAtMs - known.askedAtMs < ttlMs) return known;
    if (!isBucketName(name)) return undefined;
    const removalCount = this.#removalCount;
    try {
      const { createdAtMs } = await store.buckets.head({ bucket: name });
      const found = { name, createdAtMs, askedAtMs };
      if (removalCount === this.#removalCount) this.#known.set(name, found);
      return found;
    } catch (error) {
      if (!isStoreError(error, 'NoSuchBucket')) throw error;
      this.#known.delete(name);
      return undefined;
    }
  }

  /** All that the key may see, asked of the store each time. */
  async *pages(): AsyncGenerator<readonly KnownBucket[]> {
    const { store, clock } = this.#options;
    let continuationToken: string | undefined;
    do {
      const removalCount = this.#removalCount;
      const askedAtMs = clock.monotonicMs();
      const page = await store.buckets.list({
        ...(continuationToken !== undefined && { continuationToken })
      });
      const buckets = page.buckets.map(({ bucket, createdAtMs }) => ({
        name: bucket,
        createdAtMs,
        askedAtMs
      }));
      if (removalCount === this.#removalCount)
        for (const bucket of buckets) this.#known.set(bucket.name, bucket);
      yield buckets;
      continuationToken = page.continuationToken;
    } while (continuationToken !== undefined);
  }

  async create(name: string): Promise<void> {
    const { store, clock } = this.#options;
    if (!isBucketName(name))
      throw new FileSystemError(
        'EINVAL',
        `"${name}" is no bucket name; it has 3 to 63 lower-case letters, digits, dots and hyphens, and starts and ends with a letter or digit`
      );
    const askedAtMs = clock.monotonicMs();
    const { createdAtMs } = await store.buckets.create({ bucket: name });
    this.#known.set(name, { name, createdAtMs, askedAtMs });
  }

  async delete(name: string): Promise<void> {
    try {
      await this.#options.store.buckets.delete({ bucket: name });
    } finally {
      this.#removalCount++;
      this.#known.delete(name);
    }
  }
}

function isBucketName(name: string): boolean {
  return bucketNameSchema.safeParse(name).success;
}
