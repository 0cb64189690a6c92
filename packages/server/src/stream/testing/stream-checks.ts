import type { BlockLocation, OwnedStream, StreamLayer, StreamPosition } from '../stream-layer.js';
import { payloadOf } from './payload.js';

export interface AppendedBlock {
  readonly sequence: number;
  readonly location: BlockLocation;
}

/** Appends blocks with `payloadOf(sequence, length)`, all at once. */
export async function appendBlocks(
  stream: OwnedStream,
  sequences: readonly number[],
  lengthOf: (sequence: number) => number = () => 100
): Promise<readonly AppendedBlock[]> {
  return await Promise.all(
    sequences.map(async (sequence) => {
      const parts = [payloadOf(sequence, lengthOf(sequence))];
      return { sequence, location: await stream.append({ sequence, parts }) };
    })
  );
}

/** [first, first + count). */
export function sequences(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** The sequences a scan gives; throws when a head or a whole payload is not what was appended. */
export async function scanSequences(stream: OwnedStream, from?: StreamPosition): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const { sequence, location, head, read } of stream.scan(from)) {
    const expected = payloadOf(sequence, location.length);
    if (!expected.subarray(0, head.byteLength).equals(head)) throw new Error(`head of block ${sequence}`);
    if (!expected.equals(await read(0, location.length))) throw new Error(`payload of block ${sequence}`);
    found.push(sequence);
  }
  return found;
}

/** Throws unless every block can be read where its append said, whole and in part. */
export async function checkReadable(layer: StreamLayer, blocks: readonly AppendedBlock[]): Promise<void> {
  for (const { sequence, location } of blocks) {
    const { extentId, offset: blockOffset, length } = location;
    const bytes = await layer.readBlock({ extentId, blockOffset, start: 0, length });
    if (!payloadOf(sequence, length).equals(bytes)) throw new Error(`block ${sequence} has other bytes`);
  }
}
