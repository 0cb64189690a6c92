import { CommandError } from './usage-error.js';

/** Signals that arrive this close are one: a terminal, npm and a supervisor each pass the same Ctrl-C on. */
const SAME_SIGNAL_MS = 500;
/** How long closing may go on after it was given up. */
const GIVE_UP_MS = 5000;

export interface ShutdownOptions {
  readonly onSignal: (listener: () => void) => () => void;
  readonly nowMs: () => number;
  readonly exit: (code: number) => void;
}

interface Resource {
  readonly name: string;
  /** Stores what there is to store; what could not be stored is named. */
  close(): Promise<readonly string[]>;
  /** Makes a `close` that waits end soon. */
  giveUp?(): void;
}

/**
 * The end of a command. The first signal asks for it, a second one gives up what is still being stored, a third one
 * ends the process. Resources are closed in the reverse order of their opening.
 */
export class Shutdown implements Disposable {
  readonly #options: ShutdownOptions;
  readonly #requested = new AbortController();
  readonly #givenUp = new AbortController();
  readonly #resources: Resource[] = [];
  readonly #stopListening: () => void;
  #firstAtMs = 0;

  constructor(options: ShutdownOptions) {
    this.#options = options;
    this.#stopListening = options.onSignal(() => this.#signalled());
  }

  /** Aborts with the first signal. */
  get signal(): AbortSignal {
    return this.#requested.signal;
  }

  get isGivenUp(): boolean {
    return this.#givenUp.signal.aborted;
  }

  /** Ends the command as a signal would. */
  request(reason: Error): void {
    this.#requested.abort(reason);
  }

  opened(resource: Resource): void {
    this.#resources.push(resource);
  }

  /** Resolves with the first signal, or with `ended` when that comes first. @throws What `ended` rejects with. */
  async requested(ended?: Promise<void>): Promise<void> {
    if (this.signal.aborted) return;
    // A timer keeps the process alive where nothing else does.
    const alive = setInterval(() => undefined, 1 << 30);
    const signalled = new Promise<void>((resolve) => {
      this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    try {
      await Promise.race(ended ? [signalled, ended] : [signalled]);
    } finally {
      clearInterval(alive);
    }
  }

  /**
   * Closes everything, the last opened first, also after one of them failed.
   *
   * @throws CommandError that names what was not stored; otherwise the first failure.
   */
  async close(): Promise<void> {
    const unstored: string[] = [];
    const failures: unknown[] = [];
    for (let resource = this.#resources.pop(); resource; resource = this.#resources.pop()) {
      try {
        unstored.push(...(await this.#closeOne(resource)));
      } catch (error) {
        failures.push(error);
      }
    }
    if (unstored.length > 0) throw new CommandError(`not stored: ${unstored.join(', ')}`);
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.dispose](): void {
    this.#stopListening();
  }

  async #closeOne(resource: Resource): Promise<readonly string[]> {
    const { signal } = this.#givenUp;
    let timer: NodeJS.Timeout | undefined;
    let giveUp = () => {};
    const left = new Promise<never>((_, reject) => {
      const error = new CommandError(`the ${resource.name} did not close in time and was left`);
      giveUp = () => {
        resource.giveUp?.();
        timer = setTimeout(() => reject(error), GIVE_UP_MS);
      };
    });
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const closing = resource.close();
      if (signal.aborted) giveUp();
      return await Promise.race([closing, left]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    }
  }

  #signalled(): void {
    const nowMs = this.#options.nowMs();
    if (!this.signal.aborted) {
      this.#firstAtMs = nowMs;
      this.#requested.abort(new CommandError('interrupted'));
    } else if (nowMs - this.#firstAtMs < SAME_SIGNAL_MS) {
      return;
    } else if (!this.#givenUp.signal.aborted) {
      this.#firstAtMs = nowMs;
      this.#givenUp.abort();
    } else {
      this.#options.exit(1);
    }
  }
}
