import type { MemberLiveness } from './membership-api.js';

/** A beat may be late or lost; three in a row are not. */
const MISSED_BEATS_MAX = 3;

export interface SilenceOptions {
  /** Since the last heartbeat. */
  readonly silentMs: number;
  readonly heartbeatMs: number;
  readonly deadAfterMs: number;
}

/**
 * What the silence of a member means:
 *
 *   up ──3 beats missed──▶ suspect ──grace time over──▶ dead        any ──heartbeat──▶ up
 */
export function livenessOf({ silentMs, heartbeatMs, deadAfterMs }: SilenceOptions): MemberLiveness {
  const suspectAfterMs = heartbeatMs * MISSED_BEATS_MAX;
  if (silentMs < suspectAfterMs) return 'up';
  return silentMs < Math.max(deadAfterMs, suspectAfterMs) ? 'suspect' : 'dead';
}
