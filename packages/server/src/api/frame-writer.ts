import { StoreError } from './errors.js';
import {
  ATTACHMENT_BYTES_MIN,
  ATTACHMENT_COUNT_MAX,
  FRAME_PREFIX_BYTES,
  type Frame,
  HEAD_PAYLOAD_BYTES_MAX
} from './frame-format.js';
import { LIMITS } from './limits.js';
import { pack } from './packed.js';

type Attachment = readonly [name: string, length: number];

/**
 * Encodes a frame as parts to write back to back. Long byte strings of the payload are parts themselves, not copies:
 * they are borrowed until the parts are written.
 *
 * @throws StoreError `EntityTooLarge` for more than `LIMITS.frameBytesMax`, `InvalidArgument` for text that is not
 *         well-formed Unicode, which UTF-8 would silently change.
 */
export function encodeFrame(frame: Frame): readonly Uint8Array[] {
  const { kind, id, path, deadlineMs } = frame;
  const { payload, attachments, parts } = detach(frame.payload);
  let fields: unknown[] = [
    kind,
    id,
    path,
    payload,
    attachments.length > 0 ? attachments : undefined,
    deadlineMs
  ];
  let head = pack(withoutTrailingNils(fields));
  let tail = parts;
  if (head.length > HEAD_PAYLOAD_BYTES_MAX) {
    // Byte strings are copied into the packed payload: rare, since only long lists have heads this long.
    tail = [pack(frame.payload)];
    fields = [kind, id, path, undefined, 1, deadlineMs];
    head = pack(withoutTrailingNils(fields));
  }
  const tailLength = tail.reduce((sum, part) => sum + part.byteLength, 0);
  const bodyLength = head.length + tailLength;
  if (bodyLength > LIMITS.frameBytesMax || head.length > LIMITS.frameHeadBytesMax) {
    throw new StoreError(
      'EntityTooLarge',
      `A call or answer of ${bodyLength} bytes is more than ${LIMITS.frameBytesMax}. Ask for less at once.`
    );
  }
  const start = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + head.length);
  start.writeUInt32LE(bodyLength, 0);
  start.writeUInt32LE(head.length, 4);
  start.set(head, FRAME_PREFIX_BYTES);
  return [start, ...tail];
}

/** Takes the long byte strings out of a payload. */
function detach(payload: unknown): {
  readonly payload: unknown;
  readonly attachments: readonly Attachment[];
  readonly parts: readonly Uint8Array[];
} {
  if (payload instanceof Uint8Array) {
    return { payload: null, attachments: [['', payload.byteLength]], parts: [payload] };
  }
  assertWellFormed(payload);
  const attachments: Attachment[] = [];
  const parts: Uint8Array[] = [];
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    return { payload, attachments, parts };
  }
  let rest: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(payload)) {
    if (!(value instanceof Uint8Array) || value.byteLength < ATTACHMENT_BYTES_MIN) continue;
    if (parts.length === ATTACHMENT_COUNT_MAX) break;
    rest ??= { ...payload };
    rest[name] = null;
    attachments.push([name, value.byteLength]);
    parts.push(value);
  }
  return { payload: rest ?? payload, attachments, parts };
}

function assertWellFormed(value: unknown): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new StoreError('InvalidArgument', 'Text must be well-formed Unicode.');
  } else if (Array.isArray(value)) {
    for (const element of value) assertWellFormed(element);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    for (const name in value) {
      assertWellFormed(name);
      assertWellFormed((value as Record<string, unknown>)[name]);
    }
  }
}

function withoutTrailingNils(fields: unknown[]): unknown[] {
  let length = fields.length;
  while (length > 2 && (fields[length - 1] === undefined || fields[length - 1] === null)) length -= 1;
  return length === fields.length ? fields : fields.slice(0, length);
}
