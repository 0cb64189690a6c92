import { connect } from 'node:net';
import t from 'tap';
import { isStoreError, StoreError } from '../api/index.js';
import { systemClock, systemRandom, systemSocketNetwork } from '../platform/index.js';
import type { RoleListener, RoleNetwork, RoleService } from './role-network.js';
import { splitAddress, tcpRoleNetwork } from './tcp-role-network.js';

const network = (secret = 'one secret'): RoleNetwork =>
  tcpRoleNetwork({ sockets: systemSocketNetwork(), clock: systemClock(), random: systemRandom(), secret });

const WAIT = { deadlineMs: 10_000 };

/** Answers what it is told to. */
class Answering implements RoleService {
  readonly started: unknown[] = [];
  readonly aborted: unknown[] = [];

  async call(path: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    this.started.push(payload);
    if (path === 'test.fail') throw new StoreError('StaleEpoch', 'An older owner.');
    if (path === 'test.crash') throw new Error('not expected');
    if (path === 'test.hang')
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          this.aborted.push(signal.reason);
          reject(signal.reason as Error);
        });
      });
    return payload;
  }

  async *subscribe(_path: string, payload: unknown, { signal }: { signal: AbortSignal }) {
    try {
      for (let number = 0; number < (payload as number) && !signal.aborted; number++) yield { number };
    } finally {
      this.aborted.push('subscription');
    }
  }
}

async function serve(service: RoleService, on = network()): Promise<RoleListener> {
  return await on.listen({ host: '127.0.0.1', port: 0, service });
}

t.test('answers come back as they were given, whatever their size', async (t) => {
  const listener = await serve(new Answering());
  const connection = network().connect(listener.address);
  for (const length of [0, 1, 1023, 1024, 70_000, 9 * 1024 * 1024]) {
    const bytes = Buffer.alloc(length, length % 251);
    const answer = (await connection.call('test.echo', { bytes, list: [1, 'two', null] }, WAIT)) as {
      readonly bytes: Uint8Array;
      readonly list: unknown;
    };
    t.ok(bytes.equals(answer.bytes), `${length} bytes`);
    t.same(answer.list, [1, 'two', null]);
  }
  const lists = { parts: Array.from({ length: 40 }, (_, index) => Buffer.alloc(3000, index)) };
  t.same(await connection.call('test.echo', lists, WAIT), lists, 'byte strings within lists');
  connection.close();
  await listener.close();
});

t.test('calls start in the order in which they were made', async (t) => {
  const service = new Answering();
  const listener = await serve(service);
  const connection = network().connect(listener.address);
  const numbers = Array.from({ length: 500 }, (_, index) => index);
  const answers = await Promise.all(numbers.map((number) => connection.call('test.echo', number, WAIT)));
  t.same(answers, numbers);
  t.same(service.started, numbers);
  connection.close();
  await listener.close();
});

t.test('errors keep their code; what was not expected says so', async (t) => {
  const listener = await serve(new Answering());
  const connection = network().connect(listener.address);
  await t.rejects(connection.call('test.fail', 1, WAIT), { code: 'StaleEpoch', message: 'An older owner.' });
  await t.rejects(connection.call('test.crash', 1, WAIT), { code: 'InternalError' });
  t.equal(await connection.call('test.echo', 2, WAIT), 2, 'the connection goes on');
  connection.close();
  await listener.close();
});

t.test('a deadline and a signal end the call on both sides', async (t) => {
  const service = new Answering();
  const listener = await serve(service);
  const connection = network().connect(listener.address);
  await connection.call('test.echo', 1, WAIT);
  await t.rejects(connection.call('test.hang', 1, { deadlineMs: 20 }), { code: 'DeadlineExceeded' });
  const aborting = new AbortController();
  const given = connection.call('test.hang', 2, { ...WAIT, signal: aborting.signal });
  aborting.abort(new Error('enough'));
  await t.rejects(given, { code: 'Cancelled' });
  t.equal(await connection.call('test.echo', 3, WAIT), 3);
  t.equal(service.aborted.length, 2);
  t.ok(service.aborted.every((reason) => isStoreError(reason, 'Cancelled')));
  connection.close();
  await listener.close();
});

t.test('a lost connection fails what was in flight, and the next call makes another one', async (t) => {
  const service = new Answering();
  const first = await serve(service);
  const connection = network().connect(first.address);
  await connection.call('test.echo', 1, WAIT);
  const hanging = connection.call('test.hang', 1, WAIT);
  await connection.call('test.echo', 2, WAIT);
  await Promise.all([t.rejects(hanging, { code: 'ServiceUnavailable' }), first.close()]);
  t.equal(service.aborted.length, 1, 'nobody waits for it any more');
  await t.rejects(connection.call('test.echo', 3, WAIT), { code: 'ServiceUnavailable' });
  const { port } = splitAddress(first.address);
  const second = await network().listen({ host: '127.0.0.1', port, service });
  t.equal(await connection.call('test.echo', 4, WAIT), 4);
  connection.close();
  await t.rejects(connection.call('test.echo', 5, WAIT), { code: 'ServiceUnavailable' });
  await second.close();
});

t.test('events come in order, no more than the subscriber takes', async (t) => {
  const service = new Answering();
  const listener = await serve(service);
  const connection = network().connect(listener.address);
  const seen: number[] = [];
  const { signal } = new AbortController();
  for await (const event of connection.subscribe('test.count', 300, { signal }))
    seen.push((event as { readonly number: number }).number);
  t.same(
    seen,
    Array.from({ length: 300 }, (_, index) => index)
  );
  let count = 0;
  for await (const _event of connection.subscribe('test.count', 1e9, { signal })) if (++count === 100) break;
  await connection.call('test.echo', 1, WAIT);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.same(service.aborted, ['subscription', 'subscription'], 'who stops listening ends it');
  connection.close();
  await listener.close();
});

t.test('only who knows the secret gets in, and only to who knows it', async (t) => {
  const service = new Answering();
  const listener = await serve(service);
  const other = network('another secret').connect(listener.address);
  await t.rejects(other.call('test.echo', 1, WAIT), { code: 'Unauthenticated' });
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n'.repeat(10), 'STRC', Buffer.alloc(100_000, 7)]) {
    const { port } = splitAddress(listener.address);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end(bytes);
    await new Promise((resolve) => socket.once('close', resolve).resume());
  }
  t.same(service.started, []);
  await listener.close();
});

t.test('addresses', (t) => {
  t.same(splitAddress('node-1:7071'), { host: 'node-1', port: 7071 });
  t.same(splitAddress('[::1]:7071'), { host: '::1', port: 7071 });
  for (const wrong of ['', 'node-1', ':1', 'a:b', '::1:7', 'a:99999', 'a:1:2'])
    t.throws(() => splitAddress(wrong), { code: 'InvalidArgument' }, wrong);
  t.end();
});
