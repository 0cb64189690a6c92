import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to the bytes of each direction. */
interface Passage {
  readonly toTarget: boolean;
  readonly toCaller: boolean;
}

/**
 * A connection to a server on this machine that a test can cut, or let fall silent while it stays open. What is sent in a
 * direction that is stopped is lost; such connections are broken when it passes again.
 */
export class CutProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #passage: Passage = { toTarget: true, toCaller: true };

  private constructor(targetPort: number) {
    this.#server = createServer((socket) => {
      const target = connect(targetPort, '127.0.0.1');
      this.#pipe(socket, target, 'toTarget');
      this.#pipe(target, socket, 'toCaller');
    });
  }

  /** @param host   Where it listens. */
  static async open(targetPort: number, host = '127.0.0.1'): Promise<CutProxy> {
    const proxy = new CutProxy(targetPort);
    proxy.#server.listen(0, host);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Nothing gets in any more. */
  cut(): void {
    this.#server.close();
    this.#destroyAll();
  }

  /** Nothing passes, and nobody is told. */
  stall(): void {
    this.#passage = { toTarget: false, toCaller: false };
  }

  /** What the caller sends arrives, and it learns nothing of it. */
  swallowAnswers(): void {
    this.#passage = { toTarget: true, toCaller: false };
  }

  /** New connections work; those that have lost something break. */
  restore(): void {
    this.#passage = { toTarget: true, toCaller: true };
    this.#destroyAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
  }

  #pipe(from: Socket, to: Socket, direction: keyof Passage): void {
    this.#sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on('data', (bytes) => {
      if (this.#passage[direction] && !to.write(bytes)) from.pause();
    });
    to.on('drain', () => from.resume());
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
