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
  #epoch: number;

  private constructor(disk: Disk, path: string, epoch: number) {
    this.#disk = disk;
    this.#path = path;
    this.#epoch = epoch;
  }

  static async open(disk: Disk, directory: string): Promise<ManagerFence> {
    const path = `${directory}/${FILE}`;
    const bytes = await disk.findBytes(path);
    const epoch = bytes ? Number(Buffer.from(bytes).toString()) : 0;
    return new ManagerFence(disk, path, Number.isSafeInteger(epoch) ? epoch : 0);
  }

  /** @throws StoreError `StaleEpoch` when a newer stream manager was here. */
  async admit(epoch: number): Promise<void> {
    if (epoch < this.#epoch) {
      const epochs = `epoch ${this.#epoch}, not ${epoch}`;
      throw new StoreError('StaleEpoch', `The stream manager has ${epochs}. Stop: another one leads.`);
    }
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    // A full or failing disk must not keep the new leader from deleting: then only this process remembers.
    await this.#disk.writeBytes(this.#path, Buffer.from(`${epoch}\n`)).catch(() => undefined);
  }
}
