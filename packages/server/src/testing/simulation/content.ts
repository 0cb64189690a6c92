import { crc32c } from '../../api/index.js';

/** Bytes of a token's endless sequence; token 0 = zeros, a hole. */
interface Segment {
  readonly token: number;
  readonly start: number;
  readonly length: number;
}

/** The bytes of an object as text, such as `7:0+100,0:0+20`: small enough to keep for every state of a model. */
export type Content = string;

export function contentOf(token: number, length: number): Content {
  return format([{ token, start: 0, length }]);
}

export function sizeOf(content: Content): number {
  return parse(content).reduce((sum, { length }) => sum + length, 0);
}

/** Lays bytes of a token over a place; what lies between the end and it becomes a hole. */
export function overwritten(content: Content, offset: number, token: number, length: number): Content {
  const before = truncated(content, offset);
  const after = cut(parse(content), offset + length, Number.POSITIVE_INFINITY);
  return format([...parse(before), { token, start: 0, length }, ...after]);
}

/** Cuts or extends with a hole. */
export function truncated(content: Content, size: number): Content {
  const kept = cut(parse(content), 0, size);
  const missing = size - kept.reduce((sum, { length }) => sum + length, 0);
  return format(missing > 0 ? [...kept, { token: 0, start: 0, length: missing }] : kept);
}

export function tokenBytes(token: number, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (token === 0) return bytes;
  for (let at = 0; at < length; at++) {
    const position = start + at;
    bytes[at] = (token * 131 + position * 7 + (position >>> 8) * 13) & 0xff;
  }
  return bytes;
}

/** What a reader of the object sees, in short. */
export function digestOf(content: Content): string {
  let known = digests.get(content);
  if (known === undefined) {
    let crc = 0;
    let size = 0;
    for (const { token, start, length } of parse(content)) {
      crc = crc32c(tokenBytes(token, start, length), crc);
      size += length;
    }
    known = `${size}/${crc}`;
    if (digests.size >= DIGESTS_MAX) digests.clear();
    digests.set(content, known);
  }
  return known;
}

export function digestOfBytes(bytes: Uint8Array): string {
  return `${bytes.byteLength}/${crc32c(bytes)}`;
}

const DIGESTS_MAX = 10_000;
const digests = new Map<Content, string>();

function cut(segments: readonly Segment[], from: number, to: number): Segment[] {
  const kept: Segment[] = [];
  let at = 0;
  for (const { token, start, length } of segments) {
    const first = Math.max(from, at);
    const end = Math.min(to, at + length);
    if (first < end) kept.push({ token, start: token === 0 ? 0 : start + first - at, length: end - first });
    at += length;
  }
  return kept;
}

function parse(content: Content): Segment[] {
  if (content === '') return [];
  return content.split(',').map((text) => {
    const [token, start, length] = text.split(/[:+]/).map(Number);
    return { token: token!, start: start!, length: length! };
  });
}

/** Neighbours that go on from each other are one, so that equal bytes are equal texts in most cases. */
function format(segments: readonly Segment[]): Content {
  const joined: Segment[] = [];
  for (const segment of segments) {
    if (segment.length === 0) continue;
    const last = joined.at(-1);
    const isNext =
      last?.token === segment.token && (segment.token === 0 || last.start + last.length === segment.start);
    if (last && isNext) joined[joined.length - 1] = { ...last, length: last.length + segment.length };
    else joined.push(segment);
  }
  return joined.map(({ token, start, length }) => `${token}:${start}+${length}`).join(',');
}
