import { type ExtentId, LIMITS, StoreError } from '../api/index.js';
import type { ExtentFile, RecoveredLength } from './extent-file.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { AppendMessage, FreezeAnswer, SealAnswer, SealMessage } from './extent-node-api.js';

/** Bytes of queued appends that go to the disk in one write. */
const WRITE_BYTES_MAX = 4 * LIMITS.blockBytesMax + LIMITS.checksumChunkBytes;

interface PendingAppend {
  readonly parts: readonly Uint8Array[];
  readonly endOffset: number;
  readonly durability: 'sync' | 'os';
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

export interface ReplicaOptions {
  readonly extentId: ExtentId;
  readonly file: ExtentFile;
  /** Created by this process, hence empty and appendable. One that was reopened never takes appends again. */
  readonly isNew: boolean;
}

/**
 * One replica in an extent node:
 *
 *   active ──freeze──▶ frozen ──seal──▶ sealed        (reopened from disk: idle ──freeze──▶ frozen)
 *
 * Appends: epoch, state and offset are checked and the offset is assigned in one synchronous step with queuing, so no
 * freeze can come in between. Writes run in order; all appends whose write has ended share the next sync, which starts
 * when the previous ends. The first failed write or sync ends all appending: nothing is retried, since after a failed
 * sync the system may have dropped what it could not write.
 */
export class ExtentReplica {
  readonly #extentId: ExtentId;
  readonly #file: ExtentFile;
  #state: 'active' | 'idle' | 'frozen' | 'sealed';
  #epoch: number;
  /** Where the next append goes. */
  #nextOffset = EXTENT_HEADER_BYTES;
  /** All before it was written by this process, without gaps. */
  #writtenLength = EXTENT_HEADER_BYTES;
  /** All before it was acknowledged, or may have been. */
  #acknowledgedLength = EXTENT_HEADER_BYTES;
  /** Known while frozen or sealed; `undefined` after damage. */
  #frozenLength: number | undefined;
  /** The frozen bytes come from this process or were verified by it. */
  #isVerified = false;
  #failure: StoreError | undefined;
  /** Why appends that were accepted are not acknowledged any more. */
  #refusal: StoreError | undefined;
  /** The file's last sync failed: its handle can neither write nor sync any more. */
  #isHandleBroken = false;
  #queued: PendingAppend[] = [];
  #unsynced: PendingAppend[] = [];
  #writeLoop: Promise<void> | undefined;
  #syncLoop: Promise<void> | undefined;
  /** Freeze, seal and close, one after the other. */
  #exclusive: Promise<unknown> = Promise.resolve();

  constructor({ extentId, file, isNew }: ReplicaOptions) {
    this.#extentId = extentId;
    this.#file = file;
    this.#epoch = file.slot?.epoch ?? 0;
    this.#state = isNew ? 'active' : file.slot?.state === 'sealed' ? 'sealed' : 'idle';
    this.#frozenLength = this.#state === 'sealed' ? file.slot?.length : undefined;
  }

  get file(): ExtentFile {
    return this.#file;
  }

  /** Holds appended bytes that only this object knows how to finish; must not be dropped before `close`. */
  get isActive(): boolean {
    return this.#state === 'active';
  }

  /**
   * Its file is about to be replaced: no appends from now on.
   * @throws StoreError `StaleEpoch`, or `InternalError` when the replica is sealed at another length.
   */
  prepareRebuild(epoch: number, length: number): void {
    if (epoch < this.#epoch) throw this.#staleEpoch(epoch);
    if (this.#state === 'sealed' && this.#frozenLength !== length) throw this.#otherLength(length);
    this.#stopAppends(epoch);
  }

  append(message: AppendMessage, byteLength: number): Promise<void> {
    const refusal = this.#findRefusal(message);
    if (refusal) return Promise.reject(refusal);
    const endOffset = message.offset + byteLength;
    this.#nextOffset = endOffset;
    return new Promise((resolve, reject) => {
      const { parts, durability } = message;
      this.#queued.push({ parts, durability, endOffset, resolve, reject });
      this.#writeLoop ??= this.#runWrites();
    });
  }

  #findRefusal({ epoch, offset }: AppendMessage): StoreError | undefined {
    const name = `Extent ${this.#extentId}`;
    if (epoch < this.#epoch) return this.#staleEpoch(epoch);
    if (this.#state !== 'active') {
      return new StoreError('ExtentSealed', `${name} takes no more appends here. Use a new extent.`);
    }
    if (this.#failure) return this.#failure;
    if (epoch !== this.#epoch || offset !== this.#nextOffset) {
      const expected = `epoch ${this.#epoch} at ${this.#nextOffset}`;
      return new StoreError(
        'ExtentSealed',
        `${name} expects ${expected}, not epoch ${epoch} at ${offset}. Seal it.`
      );
    }
    return undefined;
  }

  async #runWrites(): Promise<void> {
    while (this.#queued.length > 0 && !this.#failure) {
      const group = this.#takeGroup();
      const parts = group.length === 1 ? group[0]!.parts : group.flatMap((append) => append.parts);
      try {
        await this.#file.write(parts, this.#writtenLength);
        this.#writtenLength = group.at(-1)!.endOffset;
        this.#acceptWritten(group);
      } catch (cause) {
        this.#fail(cause);
        for (const append of group) append.reject(this.#refusal!);
        // Best effort: what stays past the written length is cut when the extent is sealed.
        await this.#file.truncate(this.#writtenLength).catch(() => undefined);
      }
    }
    this.#writeLoop = undefined;
  }

  #takeGroup(): PendingAppend[] {
    const start = this.#writtenLength;
    let count = 1;
    while (count < this.#queued.length && this.#queued[count]!.endOffset - start <= WRITE_BYTES_MAX) count++;
    return this.#queued.splice(0, count);
  }

  #acceptWritten(group: readonly PendingAppend[]): void {
    for (const append of group) {
      // Frozen meanwhile, or an earlier sync failed.
      if (this.#refusal) append.reject(this.#refusal);
      else if (append.durability === 'sync') this.#unsynced.push(append);
      else this.#acknowledge(append);
    }
    if (this.#unsynced.length > 0) this.#syncLoop ??= this.#runSyncs();
  }

  async #runSyncs(): Promise<void> {
    while (this.#unsynced.length > 0 && !this.#failure) {
      const group = [...this.#unsynced];
      try {
        await this.#file.sync();
      } catch (cause) {
        this.#fail(cause);
        break;
      }
      if (this.#state !== 'active') break;
      this.#unsynced.splice(0, group.length);
      for (const append of group) this.#acknowledge(append);
    }
    this.#syncLoop = undefined;
  }

  #acknowledge(append: PendingAppend): void {
    this.#acknowledgedLength = Math.max(this.#acknowledgedLength, append.endOffset);
    append.resolve();
  }

  #fail(cause: unknown): void {
    this.#isHandleBroken = true;
    const code = cause instanceof StoreError && cause.code === 'NoSpace' ? 'NoSpace' : 'DiskFailed';
    this.#failure ??= new StoreError(
      code,
      `Extent ${this.#extentId} failed and takes no more appends. Seal it.`,
      { cause }
    );
    this.#refusePending(this.#failure);
  }

  /** What is being written is refused when that has ended: until then its bytes are needed as they are. */
  #refusePending(error: StoreError): void {
    this.#refusal ??= error;
    for (const append of [...this.#unsynced, ...this.#queued]) append.reject(error);
    this.#unsynced = [];
    this.#queued = [];
  }

  freeze(epoch: number): Promise<FreezeAnswer> {
    if (epoch < this.#epoch) return Promise.reject(this.#staleEpoch(epoch));
    this.#stopAppends(epoch);
    return this.#alone(() => this.#freeze());
  }

  seal(message: SealMessage): Promise<SealAnswer> {
    if (message.epoch < this.#epoch) return Promise.reject(this.#staleEpoch(message.epoch));
    this.#stopAppends(message.epoch);
    return this.#alone(() => this.#seal(message));
  }

  #staleEpoch(epoch: number): StoreError {
    const epochs = `epoch ${this.#epoch}, not ${epoch}`;
    return new StoreError(
      'StaleEpoch',
      `Extent ${this.#extentId} has ${epochs}. Stop: another owner took over.`
    );
  }

  /** Synchronous: no append is accepted, and none acknowledged, from here on. */
  #stopAppends(epoch: number): void {
    this.#epoch = epoch;
    if (this.#state !== 'active') return;
    this.#state = 'frozen';
    this.#isVerified = true;
    // They may be written already, and then the length that the freeze answers holds them.
    const message = `Extent ${this.#extentId} was frozen before the append was durable. Seal it, then look.`;
    this.#refusePending(new StoreError('ReplicaUnavailable', message));
  }

  #alone<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#exclusive.then(run);
    this.#exclusive = result.catch(() => undefined);
    return result;
  }

  async #freeze(): Promise<FreezeAnswer> {
    if (this.#state === 'sealed') return { state: 'sealed', length: this.#frozenLength ?? 0 };
    await this.#prepareHandle();
    const found = await this.#findLength();
    const isCertain = found.known && !found.isTorn;
    const slot = { state: 'frozen', epoch: this.#epoch } as const;
    // Only what is certain is recorded: whoever asks again shall not take it for more.
    await this.#writeSlot(isCertain ? { ...slot, length: found.length } : slot);
    this.#state = 'frozen';
    this.#isVerified = isCertain;
    this.#frozenLength = isCertain ? found.length : undefined;
    if (!found.known) return { state: 'damaged', structuralLength: found.length };
    return { state: 'frozen', length: found.length, ...(!isCertain && { isUncertain: true }) };
  }

  async #findLength(): Promise<RecoveredLength> {
    if (!this.#isVerified) return await this.#file.recover();
    const length = this.#frozenLength ?? (this.#failure ? this.#acknowledgedLength : this.#writtenLength);
    return { known: true, length, isTorn: false };
  }

  /** Waits for what is being written; afterwards the file can be written to. */
  async #prepareHandle(): Promise<void> {
    await this.#drain();
    if (!this.#isHandleBroken) return;
    await this.#file.reopen();
    this.#isHandleBroken = false;
  }

  /** When its sync fails the system may have dropped bytes: then only what was acknowledged, or frozen before, counts. */
  async #writeSlot(slot: Parameters<ExtentFile['writeSlot']>[0]): Promise<void> {
    try {
      await this.#file.writeSlot(slot);
    } catch (cause) {
      this.#fail(cause);
      throw cause;
    }
  }

  async #drain(): Promise<void> {
    await this.#writeLoop;
    await this.#syncLoop;
  }

  async #seal({ length, acceptsDamage }: SealMessage): Promise<SealAnswer> {
    if (this.#state === 'sealed') {
      if (this.#frozenLength === length) return { isComplete: true };
      // Never cut twice: a wrong second decision must not shrink what is sealed.
      throw this.#otherLength(length);
    }
    await this.#prepareHandle();
    if (!acceptsDamage && !(await this.#has(length))) return { isComplete: false };
    if ((await this.#file.size()) > length) await this.#file.truncate(length);
    await this.#writeSlot({ state: 'sealed', epoch: this.#epoch, length });
    this.#state = 'sealed';
    this.#frozenLength = length;
    return { isComplete: true };
  }

  #otherLength(length: number): StoreError {
    const lengths = `${this.#frozenLength}, not ${length}`;
    return new StoreError(
      'InternalError',
      `Extent ${this.#extentId} is sealed at ${lengths}. Inspect the extent table.`
    );
  }

  async #has(length: number): Promise<boolean> {
    if (!this.#isVerified) return await this.#file.isIntact(length);
    return (await this.#findLength()).length >= length;
  }

  /** Waits for what is being written and records the length, so that later damage is not taken for a torn write. */
  async close(): Promise<void> {
    if (this.#state === 'active') await this.#alone(() => this.#recordLength()).catch(() => undefined);
    await this.#exclusive;
    await this.#file.close();
  }

  async #recordLength(): Promise<void> {
    while (this.#writeLoop || this.#syncLoop) await this.#drain();
    if (this.#state !== 'active' || this.#failure) return;
    this.#stopAppends(this.#epoch);
    await this.#file.writeSlot({ state: 'open', epoch: this.#epoch, length: this.#writtenLength });
  }
}
