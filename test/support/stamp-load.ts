import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreClient } from '@stampede/client';

/* Clients that write and read all the time, and know what must be there. */

export interface LoadOptions {
  /** One of them is used until it fails, then the next. */
  readonly clients: readonly StoreClient[];
  readonly bucket: string;
  readonly writerCount: number;
  readonly keysPerWriter: number;
  readonly bodyBytes: number;
}

export interface LoadReport {
  readonly putCount: number;
  readonly readCount: number;
  /** Calls that failed after all retries. */
  readonly errors: readonly string[];
  /** What was read and must not have been. */
  readonly violations: readonly string[];
  /** Of puts, ms, ascending. */
  readonly latenciesMs: readonly number[];
}

const AFTER_ERROR_MS = 100;

interface Known {
  /** The number in the body that was acknowledged last. */
  acknowledged: number;
  /** Greater than it when a put may or may not have been made. */
  tried: number;
}

/** Writes numbered bodies under keys of its own and reads them back. Each key has one writer, so that what is read is certain. */
export class StampLoad implements AsyncDisposable {
  readonly #options: LoadOptions;
  readonly #known = new Map<string, Known>();
  readonly #errors: string[] = [];
  readonly #violations: string[] = [];
  readonly #latenciesMs: number[] = [];
  #putCount = 0;
  #readCount = 0;
  #isDone = false;
  readonly #running: Promise<unknown>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#running = Promise.all(
      Array.from({ length: options.writerCount }, (_, writer) => this.#write(writer))
    );
  }

  async stop(): Promise<LoadReport> {
    this.#isDone = true;
    await this.#running;
    await this.#readAll();
    return {
      putCount: this.#putCount,
      readCount: this.#readCount,
      errors: this.#errors,
      violations: this.#violations,
      latenciesMs: this.#latenciesMs.sort((a, b) => a - b)
    };
  }

  /** For a test that failed meanwhile. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDone = true;
    await this.#running;
  }

  async #write(writer: number): Promise<void> {
    const { clients, bucket, keysPerWriter } = this.#options;
    let client = writer;
    for (let number = 1; !this.#isDone; number++) {
      const key = `writer-${writer}/${number % keysPerWriter}`;
      const known = this.#known.get(key) ?? { acknowledged: 0, tried: 0 };
      this.#known.set(key, known);
      known.tried = number;
      const startedMs = performance.now();
      try {
        await clients[client % clients.length]!.objects.put({ bucket, key, body: this.#body(number) });
        known.acknowledged = number;
        this.#putCount += 1;
      } catch (error) {
        this.#errors.push(`put ${key}: ${error}`);
        client += 1;
        await sleep(AFTER_ERROR_MS);
      }
      this.#latenciesMs.push(performance.now() - startedMs);
      if (number % 4 === 0) await this.#read(client, key);
    }
  }

  #body(number: number): Uint8Array {
    const body = Buffer.alloc(this.#options.bodyBytes, number % 251);
    body.writeUInt32LE(number, 0);
    return body;
  }

  async #read(client: number, key: string): Promise<void> {
    const { clients, bucket } = this.#options;
    const { acknowledged, tried } = this.#known.get(key)!;
    try {
      const { body } = await clients[client % clients.length]!.objects.read({ bucket, key });
      this.#readCount += 1;
      const number = Buffer.from(body).readUInt32LE(0);
      if (number < acknowledged || number > tried)
        this.#violations.push(`${key} gives ${number}, not ${acknowledged} to ${tried}`);
      else if (!Buffer.from(this.#body(number)).equals(body)) this.#violations.push(`${key} has wrong bytes`);
    } catch (error) {
      if (/NoSuchKey|There is no object/.test(String(error)) && acknowledged === 0) return;
      if (/There is no object/.test(String(error))) this.#violations.push(`${key} is lost`);
      else this.#errors.push(`read ${key}: ${error}`);
    }
  }

  async #readAll(): Promise<void> {
    for (const key of this.#known.keys()) await this.#read(0, key);
  }
}

export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
