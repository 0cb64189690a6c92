import {
  type BucketSettings,
  crc32c,
  type ErrorCode,
  isStoreError,
  type StoreCalls
} from '@stampede/server/api';

/** A store to try, empty or not; its buckets named `conformance-…` belong to the suite. */
export interface ConformanceStore extends AsyncDisposable {
  readonly calls: StoreCalls;
}

/** What the suite needs of a test runner; tap's test has it. */
export interface ConformanceTest {
  test(name: string, run: (t: ConformanceTest) => Promise<void>): PromiseLike<unknown>;
  ok(value: unknown, ...message: [] | [string]): unknown;
  equal(found: unknown, wanted: unknown, ...message: [] | [string]): unknown;
  same(found: unknown, wanted: unknown, ...message: [] | [string]): unknown;
}

export type Section = (t: ConformanceTest, fixture: Fixture) => Promise<void>;

const MIB = 1024 * 1024;

export { MIB };

/** A store under test, with a bucket for each test. */
export class Fixture {
  readonly calls: StoreCalls;
  readonly #run: string;
  #bucketCount = 0;

  /** @param run   Makes the names of the buckets its own. */
  constructor(calls: StoreCalls, run: string) {
    this.calls = calls;
    this.#run = run;
  }

  get run(): string {
    return this.#run;
  }

  bucketName(): string {
    this.#bucketCount += 1;
    return `conformance-${this.#run}-${this.#bucketCount}`;
  }

  async bucket(settings?: BucketSettings): Promise<TestBucket> {
    const name = this.bucketName();
    await this.calls.buckets.create(settings ? { bucket: name, settings } : { bucket: name });
    return new TestBucket(this.calls, name);
  }

  requestId(): string {
    this.#bucketCount += 1;
    return `conformance-${this.#run}-request-${this.#bucketCount}`;
  }
}

/** Shorthand for what most tests do with one bucket. */
export class TestBucket {
  readonly calls: StoreCalls;
  readonly name: string;

  constructor(calls: StoreCalls, name: string) {
    this.calls = calls;
    this.name = name;
  }

  at(key: string): { readonly bucket: string; readonly key: string } {
    return { bucket: this.name, key };
  }

  put(key: string, body: Uint8Array | string = key) {
    return this.calls.objects.put({ ...this.at(key), body: bytes(body) });
  }

  head(key: string) {
    return this.calls.objects.head(this.at(key));
  }

  /** All bytes of an object, whatever its size. */
  async bytes(key: string): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let offset = 0; ; ) {
      const { head, body } = await this.calls.objects.read({ ...this.at(key), offset, length: 4 * MIB });
      pieces.push(body);
      offset += body.length;
      if (body.length === 0 || offset >= head.size) return new Uint8Array(Buffer.concat(pieces));
    }
  }

  async text(key: string): Promise<string> {
    return Buffer.from(await this.bytes(key)).toString();
  }

  /** Every key in the order of the listing, over as many pages as it takes. */
  async keys(prefix = ''): Promise<string[]> {
    const keys: string[] = [];
    let continuationToken: string | undefined;
    do {
      const page = await this.calls.objects.list({ bucket: this.name, prefix, continuationToken });
      keys.push(...page.objects.map(({ key }) => key));
      ({ continuationToken } = page);
    } while (continuationToken !== undefined);
    return keys;
  }

  /** Everything a caller can see of the bucket: equal before and after = nothing changed. */
  async snapshot(): Promise<unknown> {
    const objects = [];
    for (const key of await this.keys()) {
      const { versionId: _, ...head } = await this.head(key);
      objects.push({ head, crc32c: crc32c(await this.bytes(key)) });
    }
    const { uploads } = await this.calls.uploads.list({ bucket: this.name });
    const { settings, usage } = await this.calls.buckets.head({ bucket: this.name });
    return { objects, uploads, settings, usage };
  }
}

/** Bytes that tell their position, so that a misplaced read shows. */
export function payload(length: number, start = 0): Uint8Array {
  const body = new Uint8Array(length);
  for (let index = 0; index < length; index++) body[index] = (start + index) % 251;
  return body;
}

/** A checksum that the bytes do not have. */
export function wrongCrc32c(body: Uint8Array): number {
  return (crc32c(body) ^ 1) >>> 0;
}

export function bytes(text: Uint8Array | string): Uint8Array {
  return typeof text === 'string' ? new TextEncoder().encode(text) : text;
}

export function sameBytes(t: ConformanceTest, found: Uint8Array, wanted: Uint8Array, message: string): void {
  if (Buffer.compare(found, wanted) === 0) t.ok(true, message);
  else {
    const at = wanted.findIndex((byte, index) => found[index] !== byte);
    t.same(
      { length: found.length, byteAt: found[at] },
      { length: wanted.length, byteAt: wanted[at] },
      `${message}: differs from byte ${at}`
    );
  }
}

/** The call fails with one of these codes. */
export async function fails(
  t: ConformanceTest,
  call: Promise<unknown>,
  codes: ErrorCode | readonly ErrorCode[],
  message: string
): Promise<void> {
  const wanted = typeof codes === 'string' ? [codes] : codes;
  let outcome: string;
  try {
    await call;
    outcome = 'success';
  } catch (error) {
    if (isStoreError(error, ...wanted)) {
      t.ok(true, message);
      return;
    }
    outcome = isStoreError(error) ? `${error.code}: ${error.message}` : String(error);
  }
  t.equal(outcome, wanted.join(' or '), message);
}
