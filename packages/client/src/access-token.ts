import { LIMITS, signToken } from '@stampede/server/api';
import type { Clock } from './clock.js';
import type { Credentials } from './endpoint.js';

const LIFETIME_MS = LIMITS.tokenLifetimeMsMax / 3;
/** A token that is about to end may have ended when it arrives. */
const RENEW_BEFORE_MS = 60_000;

/** Gives a token that the caller signed, a new one when the last is about to end. The secret stays here. */
export function accessToken(credentials: Credentials, clock: Pick<Clock, 'nowMs'>): () => Promise<string> {
  let current: { readonly token: Promise<string>; readonly signedAtMs: number } | undefined;
  return () => {
    const nowMs = clock.nowMs();
    const ageMs = current ? nowMs - current.signedAtMs : Number.POSITIVE_INFINITY;
    // A clock that was set back makes a new one too: the old token would be from the future.
    if (!current || ageMs < 0 || ageMs > LIFETIME_MS - RENEW_BEFORE_MS) {
      const token = signToken({ ...credentials, nowMs, lifetimeMs: LIFETIME_MS });
      current = { token, signedAtMs: nowMs };
    }
    return current.token;
  };
}
