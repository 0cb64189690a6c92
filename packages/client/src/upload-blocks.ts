import { Readable } from 'node:stream';
import { StoreError } from '@stampede/server/api';

/** Bytes, or where they come from; a function is called once. */
export type UploadBody =
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | (() => AsyncIterable<Uint8Array>);

export interface UploadBlock {
  readonly bytes: Uint8Array;
  /** Gives the buffer back; `bytes` is then no longer valid. */
  release(): void;
}

/** Cuts a body into blocks of `blockBytes`, the last one shorter; a `Uint8Array` is not copied. */
export function blocksOf(body: UploadBody, blockBytes: number): AsyncGenerator<UploadBlock, void> {
  if (body instanceof Uint8Array) return views(body, blockBytes);
  return gathered(typeof body === 'function' ? body() : body, blockBytes);
}

/** Ends a body that nobody will read to its end. */
export function discardBody(body: UploadBody): void {
  if (body instanceof Readable) body.destroy();
}

async function* views(body: Uint8Array, blockBytes: number): AsyncGenerator<UploadBlock, void> {
  for (let offset = 0; offset < body.length; offset += blockBytes)
    yield { bytes: body.subarray(offset, offset + blockBytes), release: () => {} };
}

async function* gathered(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  blockBytes: number
): AsyncGenerator<UploadBlock, void> {
  const free: Uint8Array[] = [];
  const block = (buffer: Uint8Array, length: number): UploadBlock => ({
    bytes: buffer.subarray(0, length),
    release: () => {
      free.push(buffer);
    }
  });
  let buffer: Uint8Array | undefined;
  let filled = 0;
  for await (const piece of pieces) {
    if (!(piece instanceof Uint8Array))
      throw new StoreError(
        'InvalidArgument',
        'a body gives bytes: do not set an encoding or object mode on it'
      );
    for (let taken = 0; taken < piece.length; ) {
      // Pages of a fresh buffer take memory only once they are written, so a short body stays cheap.
      buffer ??= free.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
      const part = piece.subarray(taken, taken + blockBytes - filled);
      buffer.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled === blockBytes) {
        const full = block(buffer, filled);
        buffer = undefined;
        filled = 0;
        yield full;
      }
    }
  }
  if (buffer) yield block(buffer, filled);
}
