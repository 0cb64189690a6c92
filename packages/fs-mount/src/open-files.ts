import type { ObjectHead, PosixAttributes } from '@stampede/client';
import type { Clock } from './clock.js';
import { isTransient } from './errno.js';
import { FileState } from './file-state.js';
import type { FileStateServices } from './file-state-services.js';
import type { OnMountEvent } from './mount-event.js';

const COMMITS_AT_ONCE_MAX = 4;
const TICK_MS = 1000;

export interface OpenFilesOptions {
  readonly services: FileStateServices;
  readonly clock: Clock;
  /** How long changes of a file that stays open wait until they are stored. */
  readonly commitIntervalMs: number;
  readonly onEvent: OnMountEvent;
  /** Finds out whether locks were lost meanwhile, so that nothing is stored that was written under them. */
  readonly checkLocks: () => void;
}

/** The one state of each file that is open or has changes; commits those that stay open, and tries again what failed. */
export class OpenFiles {
  readonly #options: OpenFilesOptions;
  readonly #states = new Map<string, FileState>();
  readonly #failedAtMs = new WeakMap<FileState, number>();
  #timer: Disposable | undefined;
  #isRelieving = false;

  constructor(options: OpenFilesOptions) {
    this.#options = options;
  }

  find(key: string): FileState | undefined {
    return this.#states.get(key);
  }

  /** The state of a file that exists in the store. */
  acquire(head: ObjectHead): FileState {
    const known = this.#states.get(head.key);
    if (known) {
      known.adopt(head);
      return known;
    }
    return this.#add(new FileState(this.#options.services, head.key, head));
  }

  /**
   * The state to open of a file that was found a moment ago, when its last handle may have been closed since. Who opens it
   * does so at once. Undefined for a removed file that is gone by now.
   */
  findCurrent(state: FileState): FileState | undefined {
    if (state.isGone) return undefined;
    if (state.isDetached) return state;
    return this.#states.get(state.key) ?? this.#add(state);
  }

  /** The state of a new file, stored with its first commit. */
  create(key: string, attributes: PosixAttributes): FileState {
    return this.#add(new FileState(this.#options.services, key, attributes));
  }

  /** The state of a file that no key leads to: its owner must detach it. */
  createNameless(attributes: PosixAttributes): FileState {
    return new FileState(this.#options.services, '', attributes);
  }

  get isEmpty(): boolean {
    return this.#states.size === 0;
  }

  under(prefix: string): FileState[] {
    return [...this.#states.values()].filter((state) => state.key.startsWith(prefix));
  }

  /** Those a listing of the store does not show, by the prefix of their directory. */
  *unstoredIn(prefix: string): Generator<FileState> {
    for (const state of this.#states.values())
      if (!state.base && state.key.startsWith(prefix) && !state.key.includes('/', prefix.length)) yield state;
  }

  rename(state: FileState, key: string, head?: ObjectHead): void {
    this.remove(state);
    state.moved(key, head);
    this.#states.set(key, state);
  }

  remove(state: FileState): void {
    if (this.#states.get(state.key) === state) this.#states.delete(state.key);
  }

  /** Commits for a program that waits for it; what fails is kept. */
  async commit(state: FileState): Promise<void> {
    this.#options.checkLocks();
    try {
      await state.commit();
    } catch (error) {
      this.#failedAtMs.set(state, this.#options.clock.monotonicMs());
      this.#arm();
      if (state.handleCount === 0) await this.#giveUpUnless(isTransient(error), state, error);
      throw error;
    } finally {
      this.#forgetIfIdle(state);
    }
  }

  /** A handle was closed. */
  async released(state: FileState): Promise<void> {
    state.handleCount--;
    if (state.handleCount > 0) return;
    if (state.isDetached) return state.dispose();
    if (!state.isDirty) return this.#forgetIfIdle(state);
    // Closing has tried already; this is for handles that were dropped without.
    await this.#commitQuietly(state);
  }

  /** Stores attributes that were changed without the file being open, together with those that follow shortly. */
  settleSoon(state: FileState, delayMs: number): void {
    this.#options.clock.setTimer(delayMs, () => void this.#commitQuietly(state));
  }

  /** Stores everything there is; returns the states that could not be stored, with the error of each. */
  async commitAll(prefix = ''): Promise<readonly { readonly state: FileState; readonly error: unknown }[]> {
    const failures: { state: FileState; error: unknown }[] = [];
    const queue = this.under(prefix).filter((state) => state.isDirty);
    const work = async () => {
      for (let state = queue.pop(); state; state = queue.pop()) {
        const current = state;
        await this.commit(current).catch((error: unknown) => failures.push({ state: current, error }));
      }
    };
    await Promise.all(Array.from({ length: COMMITS_AT_ONCE_MAX }, work));
    return failures;
  }

  /** Makes room in the write memory: sends and commits, the files with the most dirty bytes first. */
  relieve(): void {
    for (const state of this.#states.values()) state.pump(!state.isSending);
    if (this.#isRelieving) return;
    this.#isRelieving = true;
    void this.#relieveOneByOne().finally(() => {
      this.#isRelieving = false;
    });
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #add(state: FileState): FileState {
    this.#states.set(state.key, state);
    this.#arm();
    return state;
  }

  async #relieveOneByOne(): Promise<void> {
    const { memory } = this.#options.services;
    // A file that is being sent gives its memory back as it is; a commit would only cut its blocks short.
    const byBytes = [...this.#states.values()].filter((state) => state.dirtyBytes > 0 && !state.isSending);
    byBytes.sort((a, b) => b.dirtyBytes - a.dirtyBytes);
    for (const state of byBytes) {
      await this.#commitQuietly(state);
      // What was written meanwhile may have filled the memory again, and could not be sent before that was stored.
      state.pump(true);
      if (memory.usedBytes < memory.limitBytes / 2) return;
    }
  }

  #arm(): void {
    this.#timer ??= this.#options.clock.setTimer(TICK_MS, () => {
      this.#timer = undefined;
      void this.#tick();
    });
  }

  async #tick(): Promise<void> {
    const { clock, commitIntervalMs } = this.#options;
    const now = clock.monotonicMs();
    const due = [...this.#states.values()].filter((state) => {
      const since = Math.max(
        state.dirtySinceMs ?? Number.POSITIVE_INFINITY,
        this.#failedAtMs.get(state) ?? 0
      );
      return state.isDirty && now - since >= commitIntervalMs;
    });
    await Promise.all(due.slice(0, COMMITS_AT_ONCE_MAX).map((state) => this.#commitQuietly(state)));
    if (this.#states.size > 0) this.#arm();
  }

  async #commitQuietly(state: FileState): Promise<void> {
    try {
      await this.commit(state);
    } catch (error) {
      if (!state.isDetached) this.#options.onEvent({ type: 'commitFailed', path: `/${state.key}`, error });
    }
  }

  /** Nobody could be told any more that the store refuses the data: say so once and let it go. */
  async #giveUpUnless(mayWork: boolean, state: FileState, error: unknown): Promise<void> {
    if (mayWork || state.isDetached) return;
    this.remove(state);
    const bytes = await state.abandon();
    this.#options.onEvent({ type: 'dataLost', path: `/${state.key}`, bytes, error });
  }

  #forgetIfIdle(state: FileState): void {
    if (state.handleCount === 0 && !state.isDirty) this.remove(state);
  }
}
