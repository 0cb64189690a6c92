import { createHmac } from 'node:crypto';
import t from 'tap';
import { LIMITS } from './limits.js';
import { signToken, verifyToken } from './token.js';

const NOW_MS = 1_800_000_000_000;
const KEY = { accessKey: 'AKEXAMPLE', secretKey: 'a secret of some length, 0123456789' };
const findSecretKey = (accessKey: string) => (accessKey === KEY.accessKey ? KEY.secretKey : undefined);
const verify = (token: string, nowMs = NOW_MS) => verifyToken(token, { nowMs, findSecretKey });

t.test('a token names the access key that signed it', async (t) => {
  t.equal(await verify(await signToken({ ...KEY, nowMs: NOW_MS })), KEY.accessKey);
});

t.test('clocks may differ by the allowed skew, not more', async (t) => {
  const token = await signToken({ ...KEY, nowMs: NOW_MS, lifetimeMs: 60_000 });
  const { clockSkewMs } = LIMITS;
  await t.resolves(verify(token, NOW_MS + 60_000 + clockSkewMs - 2000));
  await t.rejects(verify(token, NOW_MS + 60_000 + clockSkewMs + 2000), {
    code: 'Unauthenticated',
    message: /expired/
  });
  await t.resolves(verify(token, NOW_MS - clockSkewMs + 2000));
  await t.rejects(verify(token, NOW_MS - clockSkewMs - 2000), {
    code: 'Unauthenticated',
    message: /future|lives/
  });
});

t.test('other tokens are refused, and no message holds a secret', async (t) => {
  const good = await signToken({ ...KEY, nowMs: NOW_MS });
  const issuedAt = NOW_MS / 1000;
  const claims = { iat: issuedAt, exp: issuedAt + 60 };
  const header = { alg: 'HS256', kid: KEY.accessKey };
  const rows = [
    { name: 'empty', token: '' },
    { name: 'garbage', token: 'not a token' },
    { name: 'three dots', token: '...' },
    { name: 'very long', token: 'a'.repeat(100_000) },
    {
      name: 'signed with another secret',
      token: await signToken({ ...KEY, secretKey: 'other', nowMs: NOW_MS })
    },
    {
      name: 'of an unknown access key',
      token: await signToken({ ...KEY, accessKey: 'AKOTHER', nowMs: NOW_MS })
    },
    {
      name: 'of an unknown access key, signed with itself',
      token: compact({ ...header, kid: 'AKOTHER' }, claims)
    },
    { name: 'with a changed signature', token: `${good.slice(0, -4)}AAAA` },
    { name: 'with algorithm none', token: `${part({ ...header, alg: 'none' })}.${part(claims)}.` },
    { name: 'with another algorithm', token: compact({ ...header, alg: 'HS512' }, claims, 'sha512') },
    { name: 'without an access key', token: compact({ alg: 'HS256' }, claims) },
    { name: 'that never ends', token: compact(header, { iat: issuedAt }) },
    { name: 'without a beginning', token: compact(header, { exp: issuedAt + 60 }) },
    { name: 'that lives for a day', token: compact(header, { iat: issuedAt, exp: issuedAt + 86_400 }) },
    {
      name: 'that lives for a day from then on',
      token: compact(header, { iat: issuedAt + 86_000, exp: issuedAt + 86_400 })
    },
    { name: 'whose payload is no object', token: compact(header, 'x') }
  ];
  for (const { name, token } of rows) {
    const error = await verify(token).then(
      () => undefined,
      (reason: Error) => reason
    );
    t.match(error, { code: 'Unauthenticated' }, name);
    t.notMatch(error?.message, KEY.secretKey, `${name}: no secret`);
    if (token.length > 20) t.equal(error?.message.includes(token), false, `${name}: no token`);
  }
});

t.test('a token as any other library makes it is accepted', async (t) => {
  const token = compact(
    { alg: 'HS256', kid: KEY.accessKey },
    { iat: NOW_MS / 1000, exp: NOW_MS / 1000 + 60 }
  );
  t.equal(await verify(token), KEY.accessKey);
});

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function compact(header: unknown, claims: unknown, hash = 'sha256'): string {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac(hash, KEY.secretKey).update(signed).digest('base64url')}`;
}
