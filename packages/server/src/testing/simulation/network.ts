import { isStoreError, StoreError } from '../../api/index.js';
import type { Random } from '../../platform/index.js';
import type {
  RoleCallOptions,
  RoleConnection,
  RoleConnectionOptions,
  RoleListenOptions,
  RoleNetwork,
  RoleService
} from '../../rpc/index.js';
import { Channel, SILENCE_MS_MAX } from './channel.js';
import type { Life } from './life.js';
import { Links } from './links.js';
import { Violation } from './violation.js';
import { spoilBytes, wireCopy } from './wire-copy.js';
import type { World } from './world.js';

/** A call as it is seen from outside. */
export interface SeenCall {
  readonly caller: Life;
  readonly answerer: Life;
  readonly path: string;
  /** As it arrived; its byte strings are good only until it is answered. */
  readonly payload: unknown;
}

export type SeenAnswer =
  | { readonly ok: true; readonly answer: unknown }
  | { readonly ok: false; readonly error: StoreError };

/** Who looks at what is said, and may say that something must never have happened. */
export interface NetworkObserver {
  onArrived?(call: SeenCall): void;
  /** The answer leaves the one who gives it. */
  onAnswered?(call: SeenCall, answer: SeenAnswer): void;
  /** The answer has reached the one who asked, who still waits for it. */
  onHeard?(call: SeenCall, answer: SeenAnswer): void;
}

interface Listening {
  readonly life: Life;
  readonly service: RoleService;
}

const CONNECT_TIMEOUT_MS = 2000;
/** Of the second arrival of a request. */
const DUPLICATE_MS_MAX = 10_000;
/** What says of itself that it may be repeated. */
const REPEATABLE = /^(extentNode\.(?!append)|streamManager\.|partition\.(?!objects\.watch))/;

/** The network of all machines of a world. */
export class SimulatedNetwork {
  readonly links: Links;
  readonly observers: NetworkObserver[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #listening = new Map<string, Listening>();
  readonly #channels = new Set<Channel>();
  /** Machines whose power is off: nothing answers, not even a refusal. */
  readonly #dark = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random('network');
    this.links = new Links(world);
    this.links.onHealed(() => {
      for (const channel of [...this.#channels])
        if (channel.isOver) this.#channels.delete(channel);
        else channel.flush();
    });
  }

  /** The network as one life of a machine sees it. */
  of(life: Life): RoleNetwork {
    return {
      listen: async (options) => this.#listen(life, options),
      connect: (address) => new SimulatedConnection(this, life, address)
    };
  }

  /** The process ended: the system of the machine ends its connections, unless its power went. */
  ended(life: Life, isPowerCut: boolean): void {
    for (const [address, listening] of this.#listening)
      if (listening.life === life) this.#listening.delete(address);
    if (isPowerCut) this.#dark.add(life.name);
    for (const channel of [...this.#channels]) {
      if (channel.caller !== life && channel.answerer !== life) continue;
      const side = channel.caller === life ? 'answerer' : 'caller';
      if (isPowerCut) channel.breakLater(side, 'the other side is silent', 5, SILENCE_MS_MAX);
      else channel.breakLater(side, 'the other side closed it', 5);
      if (!isPowerCut) this.#channels.delete(channel);
    }
  }

  /** The machine has power again: what was connected to its earlier life is told so. */
  lit(name: string): void {
    this.#dark.delete(name);
    for (const channel of [...this.#channels]) {
      if (channel.caller.name === name && channel.caller.isEnded)
        channel.breakLater('answerer', 'it was reset', 5000);
      else if (channel.answerer.name === name && channel.answerer.isEnded)
        channel.breakLater('caller', 'it was reset', 5000);
      else continue;
      this.#channels.delete(channel);
    }
  }

  #listen(
    life: Life,
    { host, port, service }: RoleListenOptions
  ): { address: string; close(): Promise<void> } {
    const address = `${host}:${port}`;
    this.#listening.set(address, { life, service });
    return {
      address,
      close: async () => {
        if (this.#listening.get(address)?.life === life) this.#listening.delete(address);
        const reason = new StoreError('ServiceUnavailable', 'The member is being stopped. Try another one.');
        for (const channel of this.#channels)
          if (channel.answerer === life) {
            channel.end('answerer', reason);
            channel.breakLater('caller', 'the other side closed it', 5);
          }
      }
    };
  }

  /** @throws StoreError `ServiceUnavailable` */
  async connect(caller: Life, address: string): Promise<Channel> {
    const name = address.slice(0, address.lastIndexOf(':'));
    return await new Promise<Channel>((resolve, reject) => {
      const timeout = caller.clock.setTimer(CONNECT_TIMEOUT_MS, () =>
        reject(new StoreError('ServiceUnavailable', `${address} does not answer. Try again.`))
      );
      const settle = (run: () => void): void => {
        timeout[Symbol.dispose]();
        run();
      };
      const there = (): void => {
        if (this.#dark.has(name) || this.links.isCut(caller.name, name)) return;
        const listening = this.#listening.get(address);
        if (!listening) {
          this.#travel({ from: name, to: caller.name, owner: caller, label: `refused ${address}` }, () =>
            settle(() => reject(refused(address)))
          );
          return;
        }
        const answered = (): void =>
          this.#travel({ from: name, to: caller.name, owner: caller, label: `connected ${address}` }, () =>
            settle(() => resolve(this.#open(caller, listening.life)))
          );
        // The handshake needs the process, not only its machine.
        this.#world.schedule({ afterMs: 0.01, owner: listening.life, label: '', run: answered });
      };
      this.#travel({ from: caller.name, to: name, owner: undefined, label: `connect ${address}` }, there);
    });
  }

  #open(caller: Life, answerer: Life): Channel {
    const { links } = this;
    const channel = new Channel({ world: this.#world, links, random: this.#random, caller, answerer });
    if (answerer.isEnded) channel.breakLater('caller', 'the other side closed it', 5);
    else this.#channels.add(channel);
    return channel;
  }

  #travel(
    { from, to, owner, label }: { from: string; to: string; owner: Life | undefined; label: string },
    run: () => void
  ): void {
    if (this.links.isCut(from, to)) return;
    const afterMs = this.links.delayMs(from, to);
    this.#world.schedule({ afterMs, owner, label: () => `${from}>${to} ${label}`, run });
  }

  findService(answerer: Life): RoleService | undefined {
    for (const { life, service } of this.#listening.values()) if (life === answerer) return service;
    return undefined;
  }

  /** A request has arrived; answers and forgets the message's bytes. */
  async serve(call: SeenCall, signal: AbortSignal): Promise<SeenAnswer> {
    for (const observer of this.observers) observer.onArrived?.(call);
    let answer: SeenAnswer;
    try {
      const service = this.findService(call.answerer);
      if (!service)
        throw new StoreError('ServiceUnavailable', 'The member is being stopped. Try another one.');
      answer = { ok: true, answer: wireCopy(await service.call(call.path, call.payload, { signal })) };
    } catch (error) {
      if (!isStoreError(error) && !signal.aborted)
        this.#world.fail(
          new Violation('bug', `${call.path} on ${call.answerer.id} throws ${describe(error)}`, {
            cause: error
          })
        );
      answer = { ok: false, error: wireError(error) };
    }
    for (const observer of this.observers) observer.onAnswered?.(call, answer);
    return answer;
  }

  heard(call: SeenCall, answer: SeenAnswer): void {
    for (const observer of this.observers) observer.onHeard?.(call, answer);
  }

  /** A second arrival of the same request, whose answer nobody hears. */
  duplicate(call: SeenCall): void {
    const { duplicateChance } = this.links.weather;
    if (duplicateChance === 0 || !REPEATABLE.test(call.path)) return;
    if (this.#random.fraction() >= duplicateChance) return;
    const payload = wireCopy(call.payload);
    this.#world.schedule({
      afterMs: this.#random.fraction() * DUPLICATE_MS_MAX,
      owner: call.answerer,
      label: `${call.caller.name}>${call.answerer.name} again ${call.path}`,
      run: () => void this.serve({ ...call, payload }, new AbortController().signal)
    });
  }
}

class SimulatedConnection implements RoleConnection {
  readonly #network: SimulatedNetwork;
  readonly #life: Life;
  readonly #address: string;
  #open: OpenConnection | undefined;
  #connecting: Promise<OpenConnection> | undefined;
  #isClosed = false;

  constructor(network: SimulatedNetwork, life: Life, address: string) {
    this.#network = network;
    this.#life = life;
    this.#address = address;
  }

  call(path: string, payload: unknown, options: RoleConnectionOptions): Promise<unknown> {
    const open = this.#findOpen();
    if (open) return open.call(path, payload, options);
    return this.#connect().then((connected) => connected.call(path, payload, options));
  }

  async *subscribe(path: string, payload: unknown, options: RoleCallOptions): AsyncIterable<unknown> {
    yield* (this.#findOpen() ?? (await this.#connect())).subscribe(path, payload, options);
  }

  close(): void {
    this.#isClosed = true;
    this.#open?.end(closedError());
  }

  #findOpen(): OpenConnection | undefined {
    return this.#open && !this.#open.isEnded ? this.#open : undefined;
  }

  #connect(): Promise<OpenConnection> {
    this.#connecting ??= this.#make().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #make(): Promise<OpenConnection> {
    if (this.#isClosed) throw closedError();
    const channel = await this.#network.connect(this.#life, this.#address);
    const open = new OpenConnection(this.#network, channel);
    if (this.#isClosed) open.end(closedError());
    this.#open = open;
    return open;
  }
}

interface Waiting {
  failed(error: StoreError): void;
}

/** The calling end of one channel. */
class OpenConnection {
  readonly #network: SimulatedNetwork;
  readonly #channel: Channel;
  readonly #waiting = new Set<Waiting>();
  /** Of the answering end. */
  readonly #running = new Set<AbortController>();

  constructor(network: SimulatedNetwork, channel: Channel) {
    this.#network = network;
    this.#channel = channel;
    channel.onEnd('caller', (reason) => {
      for (const waiting of [...this.#waiting]) waiting.failed(reason);
    });
    channel.onEnd('answerer', (reason) => {
      for (const aborting of [...this.#running]) aborting.abort(reason);
    });
  }

  get isEnded(): boolean {
    return this.#channel.findEnd('caller') !== undefined;
  }

  end(reason: StoreError): void {
    this.#channel.breakLater('answerer', 'the other side closed it', 5);
    this.#channel.end('caller', reason);
  }

  call(path: string, payload: unknown, { deadlineMs, signal }: RoleConnectionOptions): Promise<unknown> {
    const { caller, answerer } = this.#channel;
    const copy = wireCopy(payload);
    return new Promise((resolve, reject) => {
      const ended = this.#channel.findEnd('caller');
      if (ended) throw ended;
      const aborting = new AbortController();
      const finish = (): boolean => {
        timer[Symbol.dispose]();
        signal?.removeEventListener('abort', cancel);
        return this.#waiting.delete(waiting);
      };
      const giveUp = (error: StoreError): void => {
        if (!finish()) return;
        reject(error);
        this.#channel.send('answerer', `cancel ${path}`, () =>
          aborting.abort(new StoreError('Cancelled', 'The caller gave the call up.'))
        );
      };
      const waiting: Waiting = {
        failed: (error) => {
          if (finish()) reject(error);
        }
      };
      const cancel = (): void =>
        giveUp(new StoreError('Cancelled', `${path} was given up by its caller.`, { cause: signal?.reason }));
      const timer = caller.clock.setTimer(deadlineMs, () =>
        giveUp(
          new StoreError('DeadlineExceeded', `${path} was not answered within ${deadlineMs} ms. Try again.`)
        )
      );
      this.#waiting.add(waiting);
      signal?.addEventListener('abort', cancel, { once: true });
      const seen: SeenCall = { caller, answerer, path, payload: copy };
      const answered = (answer: SeenAnswer): void => {
        if (!finish()) return;
        this.#network.heard(seen, answer);
        if (answer.ok) resolve(answer.answer);
        else reject(answer.error);
      };
      this.#channel.send('answerer', path, () => {
        this.#network.duplicate(seen);
        void this.#serve(seen, aborting, answered);
      });
    });
  }

  async #serve(
    seen: SeenCall,
    aborting: AbortController,
    answered: (answer: SeenAnswer) => void
  ): Promise<void> {
    this.#running.add(aborting);
    const answer = await this.#network.serve(seen, aborting.signal);
    this.#running.delete(aborting);
    // Its memory is used for the next message from here on.
    spoilBytes(seen.payload);
    const label = answer.ok ? `ok ${seen.path}` : `${answer.error.code} ${seen.path}`;
    this.#channel.send('caller', label, () => answered(answer));
  }

  async *subscribe(path: string, payload: unknown, { signal }: RoleCallOptions): AsyncIterable<unknown> {
    const ended = this.#channel.findEnd('caller');
    if (ended) throw ended;
    const queue: unknown[] = [];
    let end: { readonly error?: StoreError } | undefined;
    let wake: (() => void) | undefined;
    const finish = (how: { readonly error?: StoreError }): void => {
      end ??= how;
      wake?.();
    };
    const waiting: Waiting = { failed: (error) => finish({ error }) };
    const aborting = new AbortController();
    const aborted = (): void => finish({});
    this.#waiting.add(waiting);
    signal.addEventListener('abort', aborted, { once: true });
    const copy = wireCopy(payload);
    this.#channel.send('answerer', `subscribe ${path}`, () => {
      void this.#serveEvents(path, copy, aborting, {
        event: (event) => {
          queue.push(event);
          wake?.();
        },
        finish
      });
    });
    try {
      while (!signal.aborted) {
        if (queue.length > 0) {
          yield queue.shift();
          continue;
        }
        if (end) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (end?.error && !signal.aborted) throw end.error;
    } finally {
      signal.removeEventListener('abort', aborted);
      this.#waiting.delete(waiting);
      this.#channel.send('answerer', `cancel ${path}`, () =>
        aborting.abort(new StoreError('Cancelled', 'The caller gave the call up.'))
      );
    }
  }

  async #serveEvents(
    path: string,
    payload: unknown,
    aborting: AbortController,
    { event, finish }: { event(event: unknown): void; finish(how: { readonly error?: StoreError }): void }
  ): Promise<void> {
    this.#running.add(aborting);
    try {
      const service = this.#network.findService(this.#channel.answerer);
      if (!service)
        throw new StoreError('ServiceUnavailable', 'The member is being stopped. Try another one.');
      for await (const one of service.subscribe(path, payload, { signal: aborting.signal })) {
        const copy = wireCopy(one);
        if (aborting.signal.aborted) break;
        this.#channel.send('caller', `event ${path}`, () => event(copy));
      }
      this.#channel.send('caller', `end ${path}`, () => finish({}));
    } catch (error) {
      const wire = wireError(error);
      this.#channel.send('caller', `${wire.code} ${path}`, () => finish({ error: wire }));
    } finally {
      this.#running.delete(aborting);
    }
  }
}

function refused(address: string): StoreError {
  return new StoreError('ServiceUnavailable', `Nobody listens at ${address}. Try again.`, {
    cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  });
}

function closedError(): StoreError {
  return new StoreError('ServiceUnavailable', 'The connection was closed. Make another one.');
}

function wireError(error: unknown): StoreError {
  if (!isStoreError(error)) return new StoreError('InternalError', describe(error));
  const { code, message, retryAfterMs } = error;
  return new StoreError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
