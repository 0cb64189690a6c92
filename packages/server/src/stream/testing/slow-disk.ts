import type { Disk, DiskFile, Random } from '../../platform/index.js';

/** A disk whose writes and syncs take a few turns of the event loop, so that other work comes in between. */
export function slowDisk(disk: Disk, random: Random): Disk {
  const pause = async (): Promise<void> => {
    for (let turns = Math.floor(random.fraction() * 4); turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const wrap = (file: DiskFile): DiskFile => ({
    read: (into, offset) => file.read(into, offset),
    write: async (parts, offset) => {
      await pause();
      await file.write(parts, offset);
    },
    sync: async () => {
      await pause();
      await file.sync();
    },
    truncate: (lengthBytes) => file.truncate(lengthBytes),
    size: () => file.size(),
    close: () => file.close()
  });
  return {
    createFile: async (path) => wrap(await disk.createFile(path)),
    findFile: async (path) => {
      const file = await disk.findFile(path);
      return file && wrap(file);
    },
    list: (directory) => disk.list(directory),
    createDirectory: (path) => disk.createDirectory(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeDirectory: (path) => disk.removeDirectory(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    findBytes: (path) => disk.findBytes(path),
    writeBytes: (path, bytes, modeBits) => disk.writeBytes(path, bytes, modeBits),
    space: (path) => disk.space(path)
  };
}
