import t from 'tap';
import { isStoreError } from '../api/index.js';
import { type Listener, type ListenOptions, systemNetwork } from './network.js';

const HOST = '127.0.0.1';

t.test('serves requests on a free port and tells which', async (t) => {
  const listener = await listen({ onRequest: (request, response) => response.end(`got ${request.url}`) });
  t.teardown(() => listener.close());
  t.equal(listener.host, HOST);
  t.ok(listener.port > 0);
  const response = await fetch(`http://${HOST}:${listener.port}/a`);
  t.equal(await response.text(), 'got /a');
});

t.test('says what to do when the port is in use', async (t) => {
  const listener = await listen({});
  t.teardown(() => listener.close());
  const error = await listen({ port: listener.port }).catch((error: unknown) => error);
  t.ok(isStoreError(error, 'InvalidArgument'));
  t.match(String(error), new RegExp(`port ${listener.port} is in use.*another port`));
});

t.test('says what to do when the address is not of this machine', async (t) => {
  const error = await listen({ host: '192.0.2.1' }).catch((error: unknown) => error);
  t.ok(isStoreError(error, 'InvalidArgument'));
  t.match(String(error), /does not have that address/);
});

t.test('hands upgraded connections over and cuts them at close', async (t) => {
  const listener = await listen({
    onUpgrade: (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
      socket.on('error', () => undefined).pipe(socket);
    }
  });
  const { connect } = await import('node:net');
  const socket = connect(listener.port, HOST);
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n`);
  t.match(String(await nextBytes()), /101 Switching/);
  socket.write('ping');
  t.equal(String(await nextBytes()), 'ping');
  t.equal(listener.connectionCount(), 1);
  await Promise.all([listener.close(), listener.close()]);
  await ended;
  t.equal(listener.connectionCount(), 0);

  function nextBytes(): Promise<unknown> {
    return new Promise((resolve) => socket.once('data', resolve));
  }
});

t.test('lets a request in progress end within the grace time', async (t) => {
  let finish = (): void => undefined;
  const arrived = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let answer = (): void => undefined;
  const listener = await listen({
    onRequest: (_request, response) => {
      answer = () => void response.end('late');
      finish();
    }
  });
  const response = fetch(`http://${HOST}:${listener.port}/`);
  await arrived;
  const closing = listener.close({ graceMs: 60_000 });
  answer();
  t.equal(await (await response).text(), 'late');
  await closing;
});

t.test('gives up an answer that nobody reads', async (t) => {
  let cut = (): void => undefined;
  const wasCut = new Promise<void>((resolve) => {
    cut = resolve;
  });
  const listener = await listen({
    unsentMsMax: 20,
    onRequest: (request, response) => {
      if (request.url === '/small') response.end('small');
      else response.once('close', cut).end(Buffer.alloc(64 * 1024 * 1024));
    }
  });
  t.teardown(() => listener.close());
  t.equal(await (await fetch(`http://${HOST}:${listener.port}/small`)).text(), 'small');
  const { connect } = await import('node:net');
  const socket = connect(listener.port, HOST);
  socket.pause();
  socket.on('error', () => undefined);
  socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`);
  await wasCut;
  socket.destroy();
});

function listen(options: Partial<ListenOptions>): Promise<Listener> {
  return systemNetwork().listen({
    host: HOST,
    port: 0,
    onRequest: (_, response) => response.end(),
    ...options
  });
}
