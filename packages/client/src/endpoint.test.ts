import t from 'tap';
import { parseCredentials, parseEndpoint } from './endpoint.js';

t.test('an endpoint is a host and a port', async (t) => {
  const table: readonly [string, string, string, number, boolean][] = [
    ['http://127.0.0.1:7070', 'http://127.0.0.1:7070', '127.0.0.1', 7070, false],
    ['http://store', 'http://store:7070', 'store', 7070, false],
    ['http://store:80/', 'http://store:80', 'store', 80, false],
    ['http://store:8080/trpc', 'http://store:8080', 'store', 8080, false],
    ['https://store.example', 'https://store.example:443', 'store.example', 443, true],
    ['https://store.example:7070/trpc/', 'https://store.example:7070', 'store.example', 7070, true],
    ['http://[::1]:7070', 'http://[::1]:7070', '::1', 7070, false]
  ];
  for (const [text, url, host, port, tls] of table)
    t.same(parseEndpoint(text), { url, host, port, tls }, text);
});

t.test('anything else is refused', async (t) => {
  const wrong = [
    '',
    'store:7070',
    '127.0.0.1:7070',
    'ftp://store',
    'http://user:secret@store',
    'http://store/bucket',
    'http://store?x=1',
    'http://store:99999'
  ];
  for (const text of wrong) t.throws(() => parseEndpoint(text), { code: 'InvalidArgument' }, text);
});

t.test('credentials are two', async (t) => {
  t.same(parseCredentials({ accessKey: 'a', secretKey: 'b' }), { accessKey: 'a', secretKey: 'b' });
  t.throws(() => parseCredentials({ accessKey: 'a' }), { code: 'InvalidArgument', message: /secretKey/ });
  t.throws(() => parseCredentials({ accessKey: '', secretKey: 'b' }), { code: 'InvalidArgument' });
});
