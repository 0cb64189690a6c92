import { z } from 'zod';
import type { AppendMessage } from '../extent-node-api.js';
import {
  bytesSchema,
  durabilitySchema,
  epochSchema,
  extentIdSchema,
  offsetSchema,
  spaceUseSchema
} from './remote-schemas.js';

/*
 * An append as it travels: its blocks in a few byte strings `b0`, `b1`, …, which leave without being copied. Each block
 * header stays within one of them.
 */

const STRINGS_MAX = 8;
/** Shorter parts are joined: copying them costs less than a part of a write does. */
const JOINED_BYTES_MAX = 256 * 1024;

const names = Array.from({ length: STRINGS_MAX }, (_, index) => `b${index}` as const);
const strings = Object.fromEntries(names.map((name) => [name, bytesSchema.optional()])) as Record<
  string,
  z.ZodOptional<typeof bytesSchema>
>;

const wireSchema = z.object({
  extentId: extentIdSchema,
  epoch: epochSchema,
  offset: offsetSchema,
  durability: durabilitySchema,
  use: spaceUseSchema.optional(),
  ...strings
});

export const appendSchema = wireSchema.transform((message): AppendMessage => {
  const { extentId, epoch, offset, durability, use } = message;
  const all = message as unknown as Record<string, Uint8Array | undefined>;
  const parts = names.flatMap((name) => all[name] ?? []);
  return { extentId, epoch, offset, durability, use, parts };
});

export function toAppendWire({ parts, ...rest }: AppendMessage): object {
  const joined = joinParts(parts);
  return { ...rest, ...Object.fromEntries(joined.map((bytes, index) => [`b${index}`, bytes])) };
}

function joinParts(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const joined: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  const endRun = (): void => {
    if (run.length > 0) joined.push(run.length === 1 ? run[0]! : Buffer.concat(run));
    run = [];
  };
  for (const part of parts) {
    if (part.byteLength <= JOINED_BYTES_MAX) {
      run.push(part);
      continue;
    }
    endRun();
    joined.push(part);
  }
  endRun();
  return joined.length <= STRINGS_MAX ? joined : [Buffer.concat(joined)];
}
