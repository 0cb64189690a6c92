import { z } from 'zod';
import { StoreError } from '../api/index.js';

/* An access key as the meta store keeps it: JSON, one row a key. */

const schema = z.object({
  accessKey: z.string(),
  secretKey: z.string(),
  account: z.string(),
  description: z.string(),
  buckets: z.array(z.string()).optional(),
  access: z.enum(['read', 'write', 'admin']),
  createdAtMs: z.number()
});

export type AccessKeyRecord = z.infer<typeof schema>;

export function encodeAccessKey(record: AccessKeyRecord): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(record));
}

/** @throws StoreError `ChecksumMismatch` when the row is damaged. */
export function decodeAccessKey(bytes: Uint8Array): AccessKeyRecord {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // The cause is left out: it would hold the secret.
    throw new StoreError(
      'ChecksumMismatch',
      'A row of an access key is damaged. Delete the key and make a new one.'
    );
  }
}
