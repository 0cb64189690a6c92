/** Bytes that show where they come from, so that misplaced reads are seen. */
export function payloadOf(sequence: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = (sequence * 31 + index) % 251;
  return bytes;
}
