import type { OpenScratch, Scratch } from './scratch.js';

const STEP_BYTES = 1024 * 1024;

/** Copies a file's bytes to where no name leads; `read` fills the buffer from an offset. Zeros take no space. */
export async function makeLocalCopy(
  openScratch: OpenScratch,
  size: number,
  read: (offset: number, into: Uint8Array) => Promise<void>
): Promise<Scratch> {
  const scratch = await openScratch();
  try {
    const buffer = new Uint8Array(Math.min(size, STEP_BYTES));
    for (let offset = 0; offset < size; offset += buffer.byteLength) {
      const part = buffer.subarray(0, Math.min(buffer.byteLength, size - offset));
      await read(offset, part);
      if (part.some((byte) => byte !== 0)) await scratch.write(offset, part);
    }
    return scratch;
  } catch (error) {
    await scratch.close();
    throw error;
  }
}
