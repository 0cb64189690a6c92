const TWO_TO_32 = 2 ** 32;

/** Writes a safe integer as 8 bytes, little endian. Cheaper than through a bigint. */
export function writeUint64(into: Buffer, value: number, at: number): void {
  into.writeUInt32LE(value % TWO_TO_32, at);
  into.writeUInt32LE(Math.floor(value / TWO_TO_32), at + 4);
}

/** Reads 8 bytes; not a safe integer when the bytes are damaged, so check a checksum first. */
export function readUint64(from: Buffer, at: number): number {
  return from.readUInt32LE(at + 4) * TWO_TO_32 + from.readUInt32LE(at);
}
