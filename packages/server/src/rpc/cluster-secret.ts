import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { StoreError } from '../api/index.js';
import type { Clock, Random } from '../platform/index.js';

/*
 * How two processes of a stamp prove to each other that they know the cluster's secret, which never travels. See
 * docs/PROTOCOLS.md, section Roles.
 *
 *   connecting side  "STRC" | version u8 | 0 0 0 | nonce (32)
 *   accepting side   nonce (32) | HMAC-SHA256(secret, "accept" | first nonce | second nonce)
 *   connecting side  HMAC-SHA256(secret, "connect" | first nonce | second nonce), then frames both ways
 */

const MAGIC = Uint8Array.of(0x53, 0x54, 0x52, 0x43, 1, 0, 0, 0);
const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
const TIMEOUT_MS = 5000;

export interface SecretHandshake {
  readonly socket: Socket;
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * The side that made the connection.
 *
 * @throws StoreError `Unauthenticated` when the other side has another secret, `ServiceUnavailable` when it is no member.
 */
export async function proveConnecting({ socket, secret, clock, random }: SecretHandshake): Promise<void> {
  const first = random.bytes(NONCE_BYTES);
  socket.write(Buffer.concat([MAGIC, first]));
  const answer = await receive(socket, NONCE_BYTES + PROOF_BYTES, clock);
  const second = answer.subarray(0, NONCE_BYTES);
  requireProof(answer.subarray(NONCE_BYTES), proof(secret, 'accept', first, second));
  socket.write(proof(secret, 'connect', first, second));
}

/**
 * The side that accepted the connection.
 *
 * @throws StoreError `Unauthenticated` when the other side has another secret, `ServiceUnavailable` when it is no member.
 */
export async function proveAccepting({ socket, secret, clock, random }: SecretHandshake): Promise<void> {
  const hello = await receive(socket, MAGIC.length + NONCE_BYTES, clock);
  if (!hello.subarray(0, MAGIC.length).equals(MAGIC)) throw noMember('it speaks another protocol or version');
  const first = hello.subarray(MAGIC.length);
  const second = random.bytes(NONCE_BYTES);
  socket.write(Buffer.concat([second, proof(secret, 'accept', first, second)]));
  requireProof(await receive(socket, PROOF_BYTES, clock), proof(secret, 'connect', first, second));
}

function proof(secret: string, side: string, first: Uint8Array, second: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(side).update(first).update(second).digest();
}

function requireProof(given: Uint8Array, expected: Uint8Array): void {
  if (timingSafeEqual(given, expected)) return;
  throw new StoreError(
    'Unauthenticated',
    'The other side has another cluster secret. Give all members of the stamp the same one.'
  );
}

/** Exactly so many bytes; whatever follows them stays in the socket. */
function receive(socket: Socket, count: number, clock: Clock): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      timer[Symbol.dispose]();
      socket.off('readable', take);
      socket.off('error', fail);
      socket.off('close', closed);
    };
    const fail = (cause: Error): void => {
      done();
      reject(noMember(cause.message, cause));
    };
    const closed = (): void => fail(new Error('it closed the connection'));
    const take = (): void => {
      const bytes = socket.read(count) as Buffer | null;
      if (!bytes) return;
      done();
      if (bytes.length === count) resolve(bytes);
      else fail(new Error('it closed the connection'));
    };
    const timer = clock.setTimer(TIMEOUT_MS, () => fail(new Error(`it said nothing for ${TIMEOUT_MS} ms`)));
    socket.on('readable', take);
    socket.on('error', fail);
    socket.on('close', closed);
    take();
  });
}

function noMember(why: string, cause?: Error): StoreError {
  return new StoreError('ServiceUnavailable', `The other side did not prove to be a member: ${why}.`, {
    cause
  });
}
