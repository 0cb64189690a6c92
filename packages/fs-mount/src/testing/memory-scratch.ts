import type { Scratch } from '../scratch.js';

/** A scratch without a disk. */
export async function openMemoryScratch(): Promise<Scratch> {
  let bytes = new Uint8Array(0);
  const resize = (size: number) => {
    const resized = new Uint8Array(size);
    resized.set(bytes.subarray(0, size));
    bytes = resized;
  };
  return {
    async read(offset, into) {
      into.fill(0);
      into.set(bytes.subarray(offset, offset + into.byteLength));
    },
    async write(offset, added) {
      if (offset + added.byteLength > bytes.byteLength) resize(offset + added.byteLength);
      bytes.set(added, offset);
    },
    async truncate(size) {
      resize(size);
    },
    async close() {}
  };
}
