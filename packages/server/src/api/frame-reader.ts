import assert from 'node:assert/strict';
import { StoreError } from './errors.js';
import {
  ATTACHMENT_COUNT_MAX,
  encodePreface,
  FRAME_PREFIX_BYTES,
  type Frame,
  isFrameKind,
  PREFACE_BYTES
} from './frame-format.js';
import { LIMITS } from './limits.js';
import { unpack } from './packed.js';

export interface FrameSink {
  /**
   * Gives memory for the tail of a frame whose head has arrived; its `payload` lacks the bytes that are in the tail.
   * It may be longer than `tailLength` (which may be 0). `undefined` = not now: nothing more is taken until `resume`.
   */
  allocate(frame: Frame, tailLength: number): Uint8Array | undefined;
  /** A whole frame. Byte strings of the tail are views of the memory that `allocate` gave. */
  frame(frame: Frame): void;
}

interface Head extends Frame {
  readonly attachments: readonly Attachment[] | 'payload';
  readonly tailLength: number;
}
interface Attachment {
  readonly name: string;
  readonly length: number;
}
interface Tail {
  readonly head: Head;
  readonly memory: Uint8Array;
  filled: number;
}

/** Room for the heads of small calls, many at once. */
const SCRATCH_BYTES = 64 * 1024;
/** Shorter rests of a tail come through the scratch, with the heads that follow them. */
const DIRECT_BYTES_MIN = 4096;

/**
 * Cuts received bytes into frames. Bytes come either by `buffer` and `received`, where whoever reads the socket puts
 * them straight where they belong, or by `push`. Any failure is final: drop the connection.
 *
 * @throws StoreError `InvalidArgument` from `received`, `push` and `resume` when the bytes are not frames.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  /** Bytes [taken, filled) wait to be parsed. */
  #scratch: Uint8Array = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #taken = 0;
  #filled = 0;
  #isGreeted = false;
  /** A head whose tail got no memory yet. */
  #blocked: Head | undefined;
  #tail: Tail | undefined;
  #isDirect = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True while `allocate` has refused: stop reading the socket until `resume`. */
  get isBlocked(): boolean {
    return this.#blocked !== undefined;
  }

  /** Where the next bytes of the connection go. */
  buffer(): Uint8Array {
    const tail = this.#tail;
    this.#isDirect = tail !== undefined && tail.head.tailLength - tail.filled >= DIRECT_BYTES_MIN;
    if (tail && this.#isDirect) return tail.memory.subarray(tail.filled, tail.head.tailLength);
    this.#makeRoom(1);
    return this.#scratch.subarray(this.#filled);
  }

  /** Takes over `count` bytes that were put where `buffer` said. */
  received(count: number): void {
    if (this.#isDirect && this.#tail) {
      this.#tail.filled += count;
      if (this.#tail.filled === this.#tail.head.tailLength) this.#finishTail(this.#tail);
      return;
    }
    this.#filled += count;
    this.#parse();
  }

  /** Takes bytes that belong to somebody else; they may be reused on return. */
  push(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length) {
      if (this.#tail) {
        offset += this.#fillTail(this.#tail, bytes.subarray(offset));
        continue;
      }
      // No more than what completes the head: the tail goes from here to its memory without a stop.
      const room = Math.min(bytes.length - offset, this.#blocked ? bytes.length : this.#missing());
      this.#makeRoom(room);
      this.#scratch.set(bytes.subarray(offset, offset + room), this.#filled);
      this.#filled += room;
      offset += room;
      this.#parse();
    }
  }

  /** Asks again for the memory that `allocate` refused, and goes on with what has arrived since. */
  resume(): void {
    const head = this.#blocked;
    if (!head) return;
    this.#blocked = undefined;
    this.#start(head);
    this.#parse();
  }

  #parse(): void {
    while (!this.#blocked) {
      if (this.#tail) {
        if (this.#taken === this.#filled) break;
        this.#taken += this.#fillTail(this.#tail, this.#scratch.subarray(this.#taken, this.#filled));
        continue;
      }
      const head = this.#isGreeted ? this.#takeHead() : this.#takePreface();
      if (head === 'incomplete') break;
      if (head) this.#start(head);
    }
    if (this.#taken === this.#filled) {
      this.#taken = 0;
      this.#filled = 0;
      if (this.#scratch.length > SCRATCH_BYTES) this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    }
  }

  /** How many more bytes complete the preface, the prefix or the head that comes next. */
  #missing(): number {
    const available = this.#filled - this.#taken;
    if (!this.#isGreeted) return PREFACE_BYTES - available;
    if (available < FRAME_PREFIX_BYTES) return FRAME_PREFIX_BYTES - available;
    return FRAME_PREFIX_BYTES + this.#prefix().headLength - available;
  }

  #prefix(): { readonly bodyLength: number; readonly headLength: number } {
    const { buffer, byteOffset } = this.#scratch;
    const prefix = new DataView(buffer, byteOffset + this.#taken, FRAME_PREFIX_BYTES);
    return { bodyLength: prefix.getUint32(0, true), headLength: prefix.getUint32(4, true) };
  }

  #takePreface(): 'incomplete' | undefined {
    if (this.#filled - this.#taken < PREFACE_BYTES) return 'incomplete';
    const preface = Buffer.from(encodePreface());
    if (!preface.equals(this.#scratch.subarray(this.#taken, this.#taken + PREFACE_BYTES))) {
      throw malformed('the preface is not that of this version');
    }
    this.#taken += PREFACE_BYTES;
    this.#isGreeted = true;
    return undefined;
  }

  #takeHead(): Head | 'incomplete' {
    const available = this.#filled - this.#taken;
    if (available < FRAME_PREFIX_BYTES) return 'incomplete';
    const { bodyLength, headLength } = this.#prefix();
    if (bodyLength > LIMITS.frameBytesMax) throw malformed(`a frame of ${bodyLength} bytes is too long`);
    if (headLength > bodyLength || headLength > LIMITS.frameHeadBytesMax) {
      throw malformed(`a head of ${headLength} bytes is too long`);
    }
    if (available < FRAME_PREFIX_BYTES + headLength) {
      this.#makeRoom(FRAME_PREFIX_BYTES + headLength - available);
      return 'incomplete';
    }
    const start = this.#taken + FRAME_PREFIX_BYTES;
    this.#taken = start + headLength;
    return decodeHead(this.#scratch.subarray(start, this.#taken), bodyLength - headLength);
  }

  #start(head: Head): void {
    const memory = this.#sink.allocate(head, head.tailLength);
    if (!memory) {
      this.#blocked = head;
      return;
    }
    assert(memory.length >= head.tailLength, 'the sink gives room for the whole tail');
    const tail = { head, memory, filled: 0 };
    if (head.tailLength === 0) this.#finishTail(tail);
    else this.#tail = tail;
  }

  #fillTail(tail: Tail, bytes: Uint8Array): number {
    const count = Math.min(bytes.length, tail.head.tailLength - tail.filled);
    tail.memory.set(count === bytes.length ? bytes : bytes.subarray(0, count), tail.filled);
    tail.filled += count;
    if (tail.filled === tail.head.tailLength) this.#finishTail(tail);
    return count;
  }

  #finishTail({ head, memory }: Tail): void {
    this.#tail = undefined;
    const { kind, id, path, deadlineMs, tailLength } = head;
    const payload = withTail(head, memory.subarray(0, tailLength));
    this.#sink.frame({ kind, id, path, payload, deadlineMs });
  }

  /** Makes room for `count` more bytes in the scratch. */
  #makeRoom(count: number): void {
    if (this.#scratch.length - this.#filled >= count) return;
    const waiting = this.#scratch.subarray(this.#taken, this.#filled);
    const needed = waiting.length + count;
    if (needed > this.#scratch.length) {
      // Bounded by the longest head plus what one read brings.
      const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(needed)));
      larger.set(waiting);
      this.#scratch = larger;
    } else {
      this.#scratch.copyWithin(0, this.#taken, this.#filled);
    }
    this.#taken = 0;
    this.#filled = waiting.length;
  }
}

function decodeHead(bytes: Uint8Array, tailLength: number): Head {
  const fields = unpack(bytes);
  if (!Array.isArray(fields)) throw malformed('the head is no list');
  const [kind, id, path, payload, attachments, deadlineMs] = fields as unknown[];
  if (!isFrameKind(kind)) throw malformed('it is of no known kind');
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 0xffffffff) {
    throw malformed('the id of the call is no number');
  }
  if (!isAbsent(path) && typeof path !== 'string') throw malformed('the path is no text');
  if (!isAbsent(deadlineMs) && !(typeof deadlineMs === 'number' && deadlineMs >= 0)) {
    throw malformed('the deadline is no duration');
  }
  return {
    kind,
    id,
    path: path ?? undefined,
    payload: payload ?? undefined,
    deadlineMs: deadlineMs ?? undefined,
    attachments: parseAttachments(attachments, payload, tailLength),
    tailLength
  };
}

function parseAttachments(given: unknown, payload: unknown, tailLength: number): Head['attachments'] {
  if (given === 1) return 'payload';
  const attachments: Attachment[] = [];
  let total = 0;
  if (!isAbsent(given)) {
    if (!Array.isArray(given) || given.length > ATTACHMENT_COUNT_MAX)
      throw malformed('the attachments are no list');
    for (const entry of given as unknown[]) {
      const [name, length] = Array.isArray(entry) ? (entry as unknown[]) : [];
      if (typeof name !== 'string' || typeof length !== 'number' || !Number.isInteger(length) || length < 0) {
        throw malformed('an attachment has no name or length');
      }
      if (!hasPlaceholder(payload, name)) throw malformed('an attachment belongs nowhere');
      attachments.push({ name, length });
      total += length;
    }
  }
  if (total !== tailLength) throw malformed('the attachments are not as long as the tail');
  return attachments;
}

function hasPlaceholder(payload: unknown, name: string): boolean {
  if (name === '') return isAbsent(payload);
  return (
    typeof payload === 'object' &&
    payload !== null &&
    Object.hasOwn(payload, name) &&
    (payload as Record<string, unknown>)[name] === null
  );
}

function withTail(head: Head, tail: Uint8Array): unknown {
  if (head.attachments === 'payload') return unpack(tail);
  let payload = head.payload;
  let offset = 0;
  for (const { name, length } of head.attachments) {
    const bytes = new Uint8Array(tail.buffer, tail.byteOffset + offset, length);
    if (name === '') payload = bytes;
    else (payload as Record<string, unknown>)[name] = bytes;
    offset += length;
  }
  return payload;
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function malformed(what: string): StoreError {
  return new StoreError(
    'InvalidArgument',
    `The bytes received are no frame: ${what}. Check that both sides speak the same version.`
  );
}
