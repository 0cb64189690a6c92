import type { StoreCalls } from '@stampede/client';
import type { ChangeListener } from './change-listener.js';
import { ChangeWatch, type ChangeWatchOptions } from './change-watch.js';
import { type KeyEvent, keyOf, OwnChanges, type PrefixEvent } from './own-changes.js';

export type ForeignChangesOptions = Omit<ChangeWatchOptions, 'onChange' | 'onReset'>;

/** What others change under the mounted prefix, told to the driver by path. Own changes are left out. */
export class ForeignChanges {
  /** The store for everything that the mount does, so that its changes are known to be its own. */
  readonly store: StoreCalls;
  readonly #prefix: string;
  readonly #own: OwnChanges;
  readonly #watch: ChangeWatch;
  #listener: ChangeListener | undefined;

  constructor(options: ForeignChangesOptions) {
    const { store, clock } = options;
    this.#prefix = options.prefix;
    this.#own = new OwnChanges({ store, clock, onForeign: (event) => this.#tell(event) });
    this.store = this.#own.store;
    this.#watch = new ChangeWatch({
      ...options,
      onChange: (event) => this.#own.judge(event),
      onReset: () => {
        this.#own.forget();
        this.#listener?.allChanged();
      }
    });
  }

  get isLive(): boolean {
    return this.#watch.isLive;
  }

  start(): void {
    this.#watch.start();
  }

  close(): void {
    this.#watch.close();
  }

  /** Tells the one listener there is from now on. */
  follow(listener: ChangeListener): void {
    this.#listener = listener;
  }

  /** An open file has bytes of others under its own. */
  bytesChanged(key: string): void {
    this.#listener?.bytesChanged(this.#pathOf(key));
  }

  /** Names that begin with the key are to be looked up each time. */
  async guarded(key: string): Promise<void> {
    await this.#listener?.guarded(this.#pathOf(key));
  }

  /** The file is to be read anew; resolves when it will be. */
  async refreshed(key: string): Promise<void> {
    await this.#listener?.refreshed(this.#pathOf(key));
  }

  #tell(event: KeyEvent | PrefixEvent): void {
    if (event.type === 'renamePrefix') this.#tellTree(event.to);
    if (event.type === 'renamePrefix' || event.type === 'deletePrefix')
      return void this.#tellTree(event.prefix);
    const key = keyOf(event);
    if (key.startsWith(this.#prefix))
      this.#listener?.changed(this.#pathOf(key), { isGone: event.type === 'delete' });
  }

  /** A prefix that begins above the mounted one concerns all of it. */
  #tellTree(prefix: string): void {
    if (this.#prefix.startsWith(prefix)) this.#listener?.allChanged();
    else if (prefix.startsWith(this.#prefix)) this.#listener?.treeChanged(this.#pathOf(prefix));
  }

  #pathOf(key: string): string {
    const end = key.endsWith('/') ? -1 : undefined;
    return `/${key.slice(this.#prefix.length, end)}`;
  }
}
