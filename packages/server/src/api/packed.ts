import { Packr } from 'msgpackr';
import { StoreError } from './errors.js';

/*
 * Plain values as MessagePack: objects, arrays, strings, numbers, booleans, null and byte strings, nothing else.
 * Bytes that arrive are checked before they are decoded, so that a few of them cannot claim millions of elements,
 * nest without end or build anything but plain values.
 */

const DEPTH_MAX = 32;

const packr = new Packr({
  useRecords: false,
  // Absent and `undefined` fields are one thing on the wire.
  skipValues: [undefined],
  encodeUndefinedAsNil: true,
  copyBuffers: true
} as ConstructorParameters<typeof Packr>[0]);

export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * Decodes bytes that somebody else made. Byte strings within are copies.
 *
 * @throws StoreError `InvalidArgument` for anything that `pack` does not make.
 */
export function unpack(bytes: Uint8Array): unknown {
  if (endOfValue(bytes, 0, 0) !== bytes.length) throw malformed('bytes follow the value');
  // A Buffer would give its byte strings as Buffers too, which are not what the other transports give.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return packr.unpack(view);
  } catch (cause) {
    throw malformed('it cannot be decoded', cause);
  }
}

/** Where the value that starts at `start` ends. */
function endOfValue(bytes: Uint8Array, start: number, depth: number): number {
  if (depth > DEPTH_MAX) throw malformed('it is nested too deeply');
  const first = byteAt(bytes, start);
  if (first < 0x80 || first >= 0xe0) return start + 1;
  if (first < 0x90) return endOfValues(bytes, start + 1, { count: (first & 0x0f) * 2, depth });
  if (first < 0xa0) return endOfValues(bytes, start + 1, { count: first & 0x0f, depth });
  if (first < 0xc0) return endOfBytes(bytes, start + 1, first & 0x1f);
  switch (first) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return start + 1;
    case 0xcc: // unsigned and signed integers and floats, by width
    case 0xd0:
      return endOfBytes(bytes, start + 1, 1);
    case 0xcd:
    case 0xd1:
      return endOfBytes(bytes, start + 1, 2);
    case 0xca:
    case 0xce:
    case 0xd2:
      return endOfBytes(bytes, start + 1, 4);
    case 0xcb:
      return endOfBytes(bytes, start + 1, 8);
    case 0xc4: // byte strings and strings, by the width of their length
    case 0xd9:
      return endOfBytes(bytes, start + 2, lengthAt(bytes, start + 1, 1));
    case 0xc5:
    case 0xda:
      return endOfBytes(bytes, start + 3, lengthAt(bytes, start + 1, 2));
    case 0xc6:
    case 0xdb:
      return endOfBytes(bytes, start + 5, lengthAt(bytes, start + 1, 4));
    case 0xdc: // arrays and maps
      return endOfValues(bytes, start + 3, { count: lengthAt(bytes, start + 1, 2), depth });
    case 0xdd:
      return endOfValues(bytes, start + 5, { count: lengthAt(bytes, start + 1, 4), depth });
    case 0xde:
      return endOfValues(bytes, start + 3, { count: lengthAt(bytes, start + 1, 2) * 2, depth });
    case 0xdf:
      return endOfValues(bytes, start + 5, { count: lengthAt(bytes, start + 1, 4) * 2, depth });
    default:
      // 64-bit integers would become BigInts, extensions could become anything.
      throw malformed(`it has a value of type ${first}`);
  }
}

function endOfValues(
  bytes: Uint8Array,
  start: number,
  { count, depth }: { readonly count: number; readonly depth: number }
): number {
  // Each value takes a byte at least.
  if (count > bytes.length - start) throw malformed('it ends early');
  let end = start;
  for (let index = 0; index < count; index++) end = endOfValue(bytes, end, depth + 1);
  return end;
}

function endOfBytes(bytes: Uint8Array, start: number, length: number): number {
  if (length > bytes.length - start) throw malformed('it ends early');
  return start + length;
}

function lengthAt(bytes: Uint8Array, offset: number, width: 1 | 2 | 4): number {
  let length = 0;
  for (let index = 0; index < width; index++) length = length * 256 + byteAt(bytes, offset + index);
  return length;
}

function byteAt(bytes: Uint8Array, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw malformed('it ends early');
  return byte;
}

function malformed(what: string, cause?: unknown): StoreError {
  return new StoreError('InvalidArgument', `The packed value is malformed: ${what}.`, { cause });
}
