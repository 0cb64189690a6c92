import { isStoreError, StoreError } from '@stampede/server/api';
import t from 'tap';
import { parseEndpoint } from '../endpoint.js';
import { UpgradeAnswer, upgradeRequest } from './handshake.js';

const ENDPOINT = parseEndpoint('http://[::1]:7070');

/** Feeds an answer in pieces; what follows a 101, or the code of the refusal. */
function answered(text: string, pieceBytes: number): string {
  const answer = new UpgradeAnswer(ENDPOINT);
  const bytes = Buffer.from(text, 'latin1');
  try {
    for (let offset = 0; offset < bytes.length; ) {
      const buffer = answer.buffer();
      const piece = bytes.subarray(offset, offset + Math.min(pieceBytes, buffer.length));
      offset += piece.length;
      buffer.set(piece);
      const rest = answer.received(piece.length);
      if (rest) return `open, then "${Buffer.from(rest).toString()}"`;
    }
    const refusal = answer.ended();
    return refusal ? `${refusal.code} at the end` : 'incomplete';
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

t.test('the request names the host as a URL does and carries the token', (t) => {
  const text = Buffer.from(upgradeRequest(ENDPOINT, 'a.b.c')).toString();
  t.match(text, /^GET \/trpc HTTP\/1\.1\r\n/);
  t.match(text, /\r\nHost: \[::1\]:7070\r\n/);
  t.match(text, /\r\nUpgrade: stampede\/1\r\n/);
  t.match(text, /\r\nAuthorization: Bearer a\.b\.c\r\n\r\n$/);
  t.end();
});

const body = (code: string) => {
  const json = JSON.stringify({ code, message: 'why' });
  return `Content-Length: ${json.length}\r\n\r\n${json}`;
};

const TABLE: readonly { readonly name: string; readonly text: string; readonly wanted: string }[] = [
  {
    name: 'an upgrade',
    text: 'HTTP/1.1 101 Switching Protocols\r\nupgrade: Stampede/1\r\n\r\n',
    wanted: 'open, then ""'
  },
  {
    name: 'an upgrade to something else',
    text: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n',
    wanted: 'InvalidArgument'
  },
  {
    name: 'a refusal that says why',
    text: `HTTP/1.1 401 No\r\n${body('Unauthenticated')}`,
    wanted: 'Unauthenticated'
  },
  {
    name: 'a code that a status does not tell',
    text: `HTTP/1.1 503 No\r\n${body('SlowDown')}`,
    wanted: 'SlowDown'
  },
  { name: 'a code that nobody knows', text: `HTTP/1.1 403 No\r\n${body('Strange')}`, wanted: 'AccessDenied' },
  { name: 'a bare 401', text: 'HTTP/1.1 401 Unauthorized\r\n\r\n', wanted: 'Unauthenticated' },
  { name: 'a bare 429', text: 'HTTP/1.1 429 Too Many\r\n\r\n', wanted: 'SlowDown' },
  { name: 'a bare 502', text: 'HTTP/1.1 502 Bad Gateway\r\n\r\n', wanted: 'ServiceUnavailable' },
  { name: 'a page', text: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', wanted: 'InvalidArgument' },
  { name: 'no HTTP', text: 'SSH-2.0-OpenSSH_9.6\r\n\r\n', wanted: 'InvalidArgument' },
  {
    name: 'headers without end',
    text: `HTTP/1.1 101 Yes\r\nX: ${'x'.repeat(40_000)}`,
    wanted: 'InvalidArgument'
  },
  { name: 'half an answer', text: 'HTTP/1.1 101 Switching', wanted: 'incomplete' },
  {
    name: 'a refusal that is cut',
    text: 'HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\n{"code"',
    wanted: 'ServiceUnavailable at the end'
  }
];

t.test('each answer is what it is, however its bytes are cut', (t) => {
  for (const { name, text, wanted } of TABLE)
    for (const pieceBytes of [1, 7, text.length])
      t.equal(answered(text, pieceBytes), wanted, `${name}, ${pieceBytes} bytes at a time`);
  t.end();
});

t.test('the first frames may come with the answer', (t) => {
  const text = 'HTTP/1.1 101 Yes\r\nUpgrade: stampede/1\r\n\r\nSTMP';
  t.equal(answered(text, text.length), 'open, then "STMP"');
  t.end();
});

t.test('what a busy store asks for is kept', (t) => {
  const answer = new UpgradeAnswer(ENDPOINT);
  const bytes = Buffer.from('HTTP/1.1 503 No\r\nRetry-After: 3\r\n\r\n');
  answer.buffer().set(bytes);
  t.throws(() => answer.received(bytes.length), { code: 'ServiceUnavailable', retryAfterMs: 3000 });
  t.ok(new StoreError('ServiceUnavailable', '').traits.retry === 'later');
  t.end();
});
