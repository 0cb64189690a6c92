import { StoreError } from '../api/index.js';
import type { Disk } from '../platform/index.js';

const FILE = 'manager-epoch';

/**
 * Which stream manager an extent node obeys: the newest that it has heard of. One that lost its leadership without
 * knowing it might else delete a replica that its successor has just made.
 */
export class ManagerFence {
  readonly #disk: Disk;
  readonly #path: string;
  /** Absent until it was read. */
  #epoch: number | undefined;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#path = `${directory}/${FILE}`;
  }

  /** @throws StoreError `StaleEpoch` when a newer stream manager was here, `DiskFailed` when that cannot be read. */
  async admit(epoch: number): Promise<void> {
    const known = this.#epoch ?? (await this.#read());
    // Another call may have come in between.
    const current = Math.max(known, this.#epoch ?? 0);
    if (epoch < current) {
      const epochs = `epoch ${current}, not ${epoch}`;
      throw new StoreError('StaleEpoch', `The stream manager has ${epochs}. Stop: another one leads.`);
    }
    this.#epoch = epoch;
    if (epoch === current) return;
    // A full or failing disk must not keep the new leader from deleting: then only this process remembers.
    await this.#disk.writeBytes(this.#path, Buffer.from(`${epoch}\n`)).catch(() => undefined);
  }

  async #read(): Promise<number> {
    const bytes = await this.#disk.findBytes(this.#path);
    const epoch = bytes ? Number(Buffer.from(bytes).toString()) : 0;
    return Number.isSafeInteger(epoch) ? epoch : 0;
  }
}
