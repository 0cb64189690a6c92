import type { Disk, DiskFile, DiskSpace } from '../../platform/index.js';
import type { Life } from './life.js';

/** How slow a machine's disk is at the moment. */
export interface DiskPace {
  /** 1 = a disk as it should be. */
  factor: number;
}

export interface LifeDiskOptions {
  readonly life: Life;
  /** The machine's disk, which outlives it. */
  readonly disk: Disk;
  readonly pace: DiskPace;
  /** A directory is gone: so are the ordered stores in it. */
  readonly onDirectoryRemoved: (path: string) => void;
  /** A file is about to be removed or replaced. */
  readonly onFileRemoved: (path: string) => void;
}

const READ_MS = 0.1;
const WRITE_MS = 0.2;
const SYNC_MS = 2;

/**
 * A machine's disk as one life of it sees it: every step takes time, steps overtake each other, and nothing happens any
 * more after the life has ended. A write takes effect when it ends, a sync covers what was written before it began.
 */
export function lifeDisk({ life, disk, pace, onDirectoryRemoved, onFileRemoved }: LifeDiskOptions): Disk {
  const takeTime = async (meanMs: number, what: () => string): Promise<void> => {
    await life.wait(meanMs * pace.factor * (0.5 + life.random.fraction()), () => `disk ${what()}`);
  };
  const wrap = (path: string, file: DiskFile): DiskFile => ({
    async read(into, offset) {
      await takeTime(READ_MS, () => `read ${path} ${offset}+${into.byteLength}`);
      return await file.read(into, offset);
    },
    async write(parts, offset) {
      await takeTime(WRITE_MS, () => `write ${path} ${offset}`);
      await file.write(parts, offset);
    },
    async sync() {
      // Later writes are not covered, and a crash before the answer may leave the sync done or not.
      const isEarly = life.random.fraction() < 0.75;
      const early = isEarly ? file.sync() : undefined;
      early?.catch(() => undefined);
      await takeTime(SYNC_MS, () => `sync ${path}`);
      await (early ?? file.sync());
    },
    async truncate(lengthBytes) {
      await takeTime(WRITE_MS, () => `truncate ${path} ${lengthBytes}`);
      await file.truncate(lengthBytes);
    },
    size: () => file.size(),
    close: () => file.close()
  });
  return {
    async createFile(path) {
      await takeTime(WRITE_MS, () => `create ${path}`);
      return wrap(path, await disk.createFile(path));
    },
    async findFile(path) {
      await takeTime(READ_MS, () => `open ${path}`);
      const file = await disk.findFile(path);
      return file && wrap(path, file);
    },
    async list(directory) {
      await takeTime(READ_MS, () => `list ${directory}`);
      return await disk.list(directory);
    },
    async createDirectory(path) {
      await takeTime(SYNC_MS, () => `createDirectory ${path}`);
      await disk.createDirectory(path);
    },
    async rename(from, to) {
      await takeTime(WRITE_MS, () => `rename ${from}`);
      await disk.rename(from, to);
    },
    async remove(path) {
      await takeTime(WRITE_MS, () => `remove ${path}`);
      onFileRemoved(path);
      await disk.remove(path);
    },
    async removeDirectory(path) {
      await takeTime(WRITE_MS, () => `removeDirectory ${path}`);
      await disk.removeDirectory(path);
      onDirectoryRemoved(path);
    },
    async syncDirectory(path) {
      await takeTime(SYNC_MS, () => `syncDirectory ${path}`);
      await disk.syncDirectory(path);
    },
    async findBytes(path) {
      await takeTime(READ_MS, () => `read ${path}`);
      return await disk.findBytes(path);
    },
    async writeBytes(path, bytes, modeBits) {
      await takeTime(2 * SYNC_MS, () => `writeBytes ${path}`);
      await disk.writeBytes(path, bytes, modeBits);
    },
    async space(path): Promise<DiskSpace> {
      await takeTime(READ_MS, () => `space ${path}`);
      return await disk.space(path);
    }
  };
}
