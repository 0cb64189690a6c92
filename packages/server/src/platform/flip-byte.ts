import assert from 'node:assert/strict';
import type { Disk } from './disk.js';

/** Damages a file for good, as a failing disk does: inverts all bits of the byte at `offset`, durably. */
export async function flipByte(disk: Disk, path: string, offset: number): Promise<void> {
  const file = await disk.findFile(path);
  assert(file, `there is a file ${path} to damage`);
  try {
    const byte = new Uint8Array(1);
    assert.equal(await file.read(byte, offset), 1, 'the byte to damage is inside the file');
    await file.write([Uint8Array.of(byte[0]! ^ 0xff)], offset);
    await file.sync();
  } finally {
    await file.close();
  }
}
