import { LIMITS } from './limits.js';

/*
 * The framed transport: two equal streams of frames over one connection, after one preface each way. See
 * docs/FORMATS.md, section Wire.
 *
 *   preface  "STMP" | version u8 | 0 0 0
 *   frame    bodyLength u32le | headLength u32le | head (headLength) | tail (bodyLength - headLength)
 *   head     MessagePack [kind, id, path, payload, attachments, deadlineMs]; trailing nils are left out
 *
 * `attachments` is [[name, length], …]: the tail holds byte strings back to back, each belonging at the top-level field
 * `name` of the payload, which holds nil in the head. The name '' stands for the payload itself. A payload too large
 * for a head travels packed in the tail: attachments is then the number 1.
 */

/** The Upgrade token; its number is the version of the wire. */
export const FRAMED_PROTOCOL = 'stampede/1';
export const WIRE_VERSION = 1;

export const PREFACE_BYTES = 8;
export const FRAME_PREFIX_BYTES = 8;

/** Byte strings at least this long travel in the tail. */
export const ATTACHMENT_BYTES_MIN = 1024;
/** Payloads whose packed form is longer than this travel in the tail. */
export const HEAD_PAYLOAD_BYTES_MAX = LIMITS.frameHeadBytesMax / 4;
export const ATTACHMENT_COUNT_MAX = 16;

/** Events a subscription may send before the client has granted more. */
export const SUBSCRIPTION_CREDIT = 32;
/** Silence after which a side sends a ping. */
export const KEEPALIVE_INTERVAL_MS = 10_000;
/** Silence after which the other side is taken for gone. */
export const KEEPALIVE_TIMEOUT_MS = 30_000;

/** Client to server: query to cancel, credit. Server to client: data to stopped. Both: ping, pong. */
export const FRAME_KIND = {
  query: 0,
  mutation: 1,
  subscribe: 2,
  cancel: 3,
  data: 4,
  error: 5,
  started: 6,
  stopped: 7,
  ping: 8,
  pong: 9,
  credit: 10
} as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];

const KIND_MAX = Math.max(...Object.values(FRAME_KIND));

export function isFrameKind(value: unknown): value is FrameKind {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= KIND_MAX;
}

export interface Frame {
  readonly kind: FrameKind;
  /** Of the call, chosen by the client, unique among its calls in flight; 0 for ping and pong. */
  readonly id: number;
  /** Of the procedure, in frames that start a call. */
  readonly path?: string | undefined;
  readonly payload?: unknown;
  /** What is left of the call's time when the frame is sent. */
  readonly deadlineMs?: number | undefined;
}

/** Payload of an error frame. */
export interface FrameError {
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** Payload of a data frame of a subscription. `id`: resume after it. */
export interface FrameEvent {
  readonly id?: string;
  readonly data: unknown;
}

export function encodePreface(): Uint8Array {
  return Uint8Array.of(0x53, 0x54, 0x4d, 0x50, WIRE_VERSION, 0, 0, 0);
}
