import { connect } from 'node:net';
import { duplexPair } from 'node:stream';
import t from 'tap';
import { type Listener, systemNetwork } from './network.js';
import { receiveInto, type SocketReceiver, type SocketReceiving } from './socket-receiving.js';

const HOST = '127.0.0.1';

/** Collects what it gets, in pieces as large as it is told, and can be blocked. */
class Collector implements SocketReceiver {
  readonly pieces: Uint8Array[] = [];
  readonly #pieceBytes: number;
  #lent: Uint8Array | undefined;
  directCount = 0;
  pushedCount = 0;
  blocked = false;
  onBytes = (): void => undefined;

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  buffer(): Uint8Array {
    this.#lent = new Uint8Array(this.#pieceBytes);
    return this.#lent;
  }

  received(count: number): void {
    this.directCount += count;
    this.pieces.push(this.#lent!.slice(0, count));
    this.onBytes();
  }

  push(bytes: Uint8Array): void {
    this.pushedCount += bytes.length;
    this.pieces.push(new Uint8Array(bytes));
    this.onBytes();
  }

  isBlocked(): boolean {
    return this.blocked;
  }

  /** Resolves once so many bytes are there. */
  async until(count: number): Promise<void> {
    while (this.bytes.length < count) {
      await new Promise<void>((resolve) => {
        this.onBytes = resolve;
      });
    }
  }
}

t.test('reads a connection straight into the memory of the receiver', async (t) => {
  const receiver = new Collector(100_000);
  await using pair = await upgraded(receiver);
  const sent = pattern(1_000_000);
  pair.client.write(sent);
  await receiver.until(sent.length);
  t.ok(receiver.bytes.equals(sent));
  t.ok(receiver.directCount > receiver.pushedCount, 'most of it was not copied');
});

t.test('loses nothing that arrived before it took over', async (t) => {
  const receiver = new Collector(1000);
  await using pair = await upgraded(receiver, { early: pattern(5000), waits: true });
  pair.client.write(pattern(10_000).subarray(5000));
  await receiver.until(10_000);
  t.ok(receiver.bytes.equals(pattern(10_000)));
});

t.test('stops reading while the receiver is blocked, and goes on without a gap', async (t) => {
  const receiver = new Collector(1000);
  await using pair = await upgraded(receiver);
  const sent = pattern(200_000);
  receiver.onBytes = () => {
    receiver.blocked = true;
  };
  pair.client.write(sent);
  for (let rounds = 0; receiver.bytes.length < sent.length; rounds++) {
    while (!receiver.blocked) await new Promise((resolve) => setImmediate(resolve));
    const before = receiver.bytes.length;
    await new Promise((resolve) => setImmediate(resolve));
    if (rounds < 10) t.equal(receiver.bytes.length, before, 'nothing comes while it is blocked');
    receiver.blocked = false;
    if (before < sent.length) pair.receiving.resume();
  }
  t.ok(receiver.bytes.equals(sent));
});

t.test('writes on the connection, and ends when the other side ends', async (t) => {
  const receiver = new Collector(1000);
  await using pair = await upgraded(receiver);
  const { socket } = pair.receiving;
  const ended = new Promise<void>((resolve) => socket.once('end', () => resolve()));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const heard = new Promise<string>((resolve) => pair.client.once('data', (bytes) => resolve(String(bytes))));
  socket.write('hello');
  t.equal(await heard, 'hello');
  pair.client.end();
  await ended;
  socket.destroy();
  await closed;
});

t.test('lets the listener cut a connection that was taken over', async (t) => {
  const receiver = new Collector(1000);
  await using pair = await upgraded(receiver);
  t.equal(pair.listener.connectionCount(), 1);
  const closed = new Promise<void>((resolve) => pair.client.once('close', () => resolve()));
  await pair.listener.close();
  await closed;
  t.equal(pair.listener.connectionCount(), 0);
  t.ok(pair.receiving.socket.destroyed);
});

t.test('reads what is no socket by copies', async (t) => {
  const receiver = new Collector(1000);
  const [near, far] = duplexPair();
  const receiving = receiveInto(near, receiver);
  receiving.start();
  const sent = pattern(50_000);
  receiver.onBytes = () => {
    receiver.blocked = true;
  };
  far.write(sent.subarray(0, 20_000));
  await new Promise((resolve) => setImmediate(resolve));
  receiver.blocked = false;
  receiver.onBytes = () => undefined;
  receiving.resume();
  far.write(sent.subarray(20_000));
  await receiver.until(sent.length);
  t.ok(receiver.bytes.equals(sent));
  t.equal(receiver.directCount, 0);
});

interface Pair extends AsyncDisposable {
  readonly client: ReturnType<typeof connect>;
  readonly receiving: SocketReceiving;
  readonly listener: Listener;
}

async function upgraded(
  receiver: SocketReceiver,
  options: { readonly early?: Uint8Array; readonly waits?: boolean } = {}
): Promise<Pair> {
  let take = (_: SocketReceiving): void => undefined;
  const taken = new Promise<SocketReceiving>((resolve) => {
    take = resolve;
  });
  const listener = await systemNetwork().listen({
    host: HOST,
    port: 0,
    onRequest: (_, response) => response.end(),
    onUpgrade: async (_request, socket, head) => {
      if (head.length > 0) receiver.push(head);
      if (options.waits)
        for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      const receiving = receiveInto(socket, receiver);
      receiving.socket.on('error', () => undefined);
      receiving.start();
      take(receiving);
    }
  });
  const client = connect(listener.port, HOST);
  client.on('error', () => undefined);
  client.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n`);
  if (options.early) client.write(options.early);
  const receiving = await taken;
  return {
    client,
    receiving,
    listener,
    async [Symbol.asyncDispose]() {
      client.destroy();
      await listener.close();
    }
  };
}

function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => index % 251));
}
