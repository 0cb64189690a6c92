import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose';
import { StoreError } from './errors.js';
import { LIMITS } from './limits.js';

/*
 * Callers prove who they are by a short-lived JSON Web Token that they sign themselves: `kid` names the access key,
 * HS256 with its secret signs. The secret never travels.
 */

const ALGORITHM = 'HS256';
const TOKEN_LENGTH_MAX = 4096;
const LIFETIME_MS_DEFAULT = LIMITS.tokenLifetimeMsMax / 3;

export interface SignTokenOptions {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly nowMs: number;
  /** At most `LIMITS.tokenLifetimeMsMax`; default a third of it. */
  readonly lifetimeMs?: number;
}

export async function signToken(options: SignTokenOptions): Promise<string> {
  const { accessKey, secretKey, nowMs, lifetimeMs = LIFETIME_MS_DEFAULT } = options;
  if (secretKey === '')
    throw new StoreError('Unauthenticated', 'The secret key is empty. Set the one of the access key.');
  const issuedAt = Math.floor(nowMs / 1000);
  return new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, kid: accessKey })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(lifetimeMs / 1000))
    .sign(bytesOf(secretKey));
}

export interface VerifyTokenOptions {
  readonly nowMs: number;
  readonly findSecretKey: (accessKey: string) => string | undefined;
}

/**
 * Checks a token and returns the access key that signed it.
 *
 * @throws StoreError `Unauthenticated`; an unknown access key and a wrong signature look the same from outside.
 */
export async function verifyToken(token: string, options: VerifyTokenOptions): Promise<string> {
  const { nowMs, findSecretKey } = options;
  const accessKey = accessKeyOf(token);
  const secretKey = findSecretKey(accessKey);
  const claims = await verifySignature(token, secretKey ?? token, nowMs);
  if (secretKey === undefined) throw notSigned();
  const { iat, exp } = claims;
  if (iat === undefined || exp === undefined)
    throw refused('it does not say when it was made and when it ends');
  if (
    (exp - iat) * 1000 > LIMITS.tokenLifetimeMsMax ||
    exp * 1000 > nowMs + LIMITS.tokenLifetimeMsMax + LIMITS.clockSkewMs
  ) {
    throw refused(`it lives longer than ${LIMITS.tokenLifetimeMsMax / 1000} s`);
  }
  if (iat * 1000 > nowMs + LIMITS.clockSkewMs) throw refused('it is from the future; check the clocks');
  return accessKey;
}

function accessKeyOf(token: string): string {
  if (token.length > TOKEN_LENGTH_MAX) throw refused('it is too long');
  try {
    const { kid } = decodeProtectedHeader(token);
    if (typeof kid === 'string' && kid !== '') return kid;
  } catch (cause) {
    throw refused('it is no JSON Web Token', cause);
  }
  throw refused('it names no access key (kid)');
}

async function verifySignature(
  token: string,
  secretKey: string,
  nowMs: number
): Promise<{ readonly iat?: number; readonly exp?: number }> {
  try {
    const { payload } = await jwtVerify(token, bytesOf(secretKey), {
      algorithms: [ALGORITHM],
      clockTolerance: LIMITS.clockSkewMs / 1000,
      currentDate: new Date(nowMs)
    });
    return payload;
  } catch (cause) {
    if (cause instanceof errors.JWTExpired)
      throw refused('it has expired; sign a new one, and check the clock', cause);
    if (cause instanceof errors.JWSSignatureVerificationFailed) throw notSigned(cause);
    if (cause instanceof errors.JOSEAlgNotAllowed) throw refused(`it is not signed with ${ALGORITHM}`, cause);
    throw refused('it is malformed', cause);
  }
}

function notSigned(cause?: unknown): StoreError {
  return new StoreError(
    'Unauthenticated',
    'The token is not signed by a known access key. Check the access key and its secret.',
    { cause }
  );
}

function refused(why: string, cause?: unknown): StoreError {
  return new StoreError('Unauthenticated', `The token was refused: ${why}.`, { cause });
}

function bytesOf(secretKey: string): Uint8Array {
  return new TextEncoder().encode(secretKey);
}
