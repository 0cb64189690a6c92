import type { Logger } from 'pino';
import {
  type AccessKeyHead,
  type CallOptions,
  type CreateKeyInput,
  type DeleteKeyInput,
  isStoreError,
  StoreError
} from '../api/index.js';
import type { MetaEntry, MetaStore, MetaTransactionResult } from '../coordination/index.js';
import type { Clock, Random } from '../platform/index.js';
import { type AccessKeyRecord, decodeAccessKey, encodeAccessKey } from './access-key-format.js';
import { faultOf } from './fault.js';
import type { Principal } from './principal.js';

const PREFIX = '/keys/';
const ROOT_ACCOUNT = 'root';
/** Letters and digits without those that look alike. */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const ACCESS_KEY_LENGTH = 20;
const SECRET_KEY_BYTES = 30;
const WATCH_RETRY_MS = 1000;

export interface AccessKeysOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The key that may do everything. It is the deployment's: neither listed nor deleted by calls. */
  readonly root: Credentials;
}

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

interface KnownKey {
  readonly principal: Principal;
  readonly secretKey: string;
  readonly head: AccessKeyHead;
}

/** Makes a random access key with its secret. */
export function generateCredentials(random: Random): Credentials {
  const letters = Array.from(random.bytes(ACCESS_KEY_LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]);
  return {
    accessKey: letters.join(''),
    secretKey: Buffer.from(random.bytes(SECRET_KEY_BYTES)).toString('base64url')
  };
}

/**
 * The access keys of the stamp: rows of the meta store under /keys/, copied here and kept up to date by a watch. What
 * `create` and `delete` changed holds here on return; other front ends follow within moments.
 */
export class AccessKeys {
  readonly #options: AccessKeysOptions;
  readonly #root: KnownKey;
  readonly #keys = new Map<string, KnownKey>();
  readonly #closing = new AbortController();
  /** The copy is that of this revision at least. */
  #revision = 0;
  readonly #waiting = new Set<{ readonly revision: number; readonly resolve: () => void }>();
  #following: Promise<void> = Promise.resolve();

  static async open(options: AccessKeysOptions): Promise<AccessKeys> {
    const keys = new AccessKeys(options);
    await keys.#load();
    keys.#following = keys.#follow();
    return keys;
  }

  private constructor(options: AccessKeysOptions) {
    this.#options = options;
    const { accessKey, secretKey } = options.root;
    const record: AccessKeyRecord = {
      accessKey,
      secretKey,
      account: ROOT_ACCOUNT,
      description: 'root',
      access: 'admin',
      createdAtMs: 0
    };
    this.#root = knownKeyOf(record);
  }

  get root(): Principal {
    return this.#root.principal;
  }

  findPrincipal(accessKey: string): Principal | undefined {
    return this.#find(accessKey)?.principal;
  }

  findSecretKey(accessKey: string): string | undefined {
    return this.#find(accessKey)?.secretKey;
  }

  list(): readonly AccessKeyHead[] {
    return [...this.#keys.values()]
      .map(({ head }) => head)
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.accessKey < b.accessKey ? -1 : 1));
  }

  async create(
    input: CreateKeyInput,
    options: CallOptions & { readonly principal: Principal }
  ): Promise<AccessKeyHead & { readonly secretKey: string }> {
    const { description = '', access = 'write', buckets } = input;
    const { meta, clock, random } = this.#options;
    const record: AccessKeyRecord = {
      ...generateCredentials(random),
      account: options.principal.account,
      description,
      access,
      createdAtMs: clock.nowMs(),
      ...(buckets && { buckets })
    };
    const key = rowOf(record.accessKey);
    const result = await meta.transact(
      { compares: [{ key, revision: 0 }], puts: [{ key, value: encodeAccessKey(record) }] },
      callOptions(options)
    );
    await this.#caughtUp(result, options);
    return { ...knownKeyOf(record).head, secretKey: record.secretKey };
  }

  /** Deleting an unknown key is fine. Calls of the key fail from then on, on open connections too. */
  async delete({ accessKey }: DeleteKeyInput, options: CallOptions): Promise<void> {
    if (accessKey === this.#options.root.accessKey) {
      throw new StoreError(
        'InvalidArgument',
        'The root key cannot be deleted. Change the credentials of the store instead.'
      );
    }
    const key = rowOf(accessKey);
    const found = await this.#options.meta.find(key, callOptions(options));
    if (!found) return;
    const result = await this.#options.meta.transact(
      { compares: [{ key, revision: found.revision }], deletes: [key] },
      callOptions(options)
    );
    await this.#caughtUp(result, options);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#following;
    // What was committed is committed: nobody waits for a copy that is not kept up any more.
    this.#reached(Number.POSITIVE_INFINITY);
  }

  #find(accessKey: string): KnownKey | undefined {
    return accessKey === this.#options.root.accessKey ? this.#root : this.#keys.get(accessKey);
  }

  async #load(): Promise<void> {
    const { entries, revision } = await this.#options.meta.range(PREFIX);
    this.#keys.clear();
    for (const entry of entries) this.#put(entry);
    this.#reached(revision);
  }

  async #follow(): Promise<void> {
    const { meta } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        for await (const change of meta.watch(PREFIX, { afterRevision: this.#revision, signal })) {
          if (change.type === 'put') this.#put(change.entry);
          else this.#keys.delete(change.key.slice(PREFIX.length));
          this.#reached(change.type === 'put' ? change.entry.revision : change.revision);
        }
        if (!signal.aborted) await this.#pause();
      } catch (error) {
        if (signal.aborted) return;
        if (!isStoreError(error, 'MetaCompacted')) await this.#pause();
        await this.#load().catch(() => undefined);
      }
    }
  }

  async #pause(): Promise<void> {
    await this.#options.clock.sleep(WATCH_RETRY_MS, this.#closing.signal).catch(() => undefined);
  }

  /** A damaged row makes its key unknown, and harms no other. */
  #put({ key, value }: MetaEntry): void {
    const accessKey = key.slice(PREFIX.length);
    try {
      this.#keys.set(accessKey, knownKeyOf(decodeAccessKey(value)));
    } catch (error) {
      this.#keys.delete(accessKey);
      this.#options.logger.error({ accessKey, err: faultOf(error) }, 'An access key cannot be used.');
    }
  }

  #reached(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const waiter of this.#waiting) {
      if (waiter.revision > this.#revision) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  /** Waits until the copy here holds what was changed. */
  async #caughtUp(result: MetaTransactionResult, { signal }: CallOptions): Promise<void> {
    if (!result.committed)
      throw new StoreError('SlowDown', 'The access key was being changed by another call. Try again.');
    const { revision } = result;
    if (revision <= this.#revision) return;
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiter);
        reject(signal?.reason);
      };
      const waiter = {
        revision,
        resolve: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        }
      };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}

function rowOf(accessKey: string): string {
  return `${PREFIX}${accessKey}`;
}

function callOptions({ signal, deadlineMs }: CallOptions): CallOptions {
  return { ...(signal && { signal }), ...(deadlineMs !== undefined && { deadlineMs }) };
}

function knownKeyOf(record: AccessKeyRecord): KnownKey {
  const { secretKey, account, ...head } = record;
  const { accessKey, access, buckets } = head;
  return {
    secretKey,
    head,
    principal: { accessKey, account, access, ...(buckets && { buckets: new Set(buckets) }) }
  };
}
