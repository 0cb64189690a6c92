import { crc32c } from '@stampede/server/api';

/** Calls whose `crc32c` is that of their `body`. */
const CHECKED: ReadonlySet<string> = new Set([
  'objects.put',
  'objects.edit',
  'uploads.write',
  'uploads.putPart'
]);

/**
 * Adds the checksum that the store compares before it keeps a body. Besides damage on the way it finds a body that its
 * owner changed while it was being sent, as may happen after the call was aborted.
 */
export function withChecksum(path: string, input: unknown): unknown {
  if (!CHECKED.has(path) || typeof input !== 'object' || input === null || !('body' in input)) return input;
  if (!(input.body instanceof Uint8Array) || ('crc32c' in input && input.crc32c !== undefined)) return input;
  return { ...input, crc32c: crc32c(input.body) };
}
