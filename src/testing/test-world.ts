import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { type StoreCalls, type StoreClient, storeClientOver } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import { commands } from '../commands/index.js';
import { readEnvironment } from '../config.js';
import { runProgram } from '../program.js';
import type { World } from '../world.js';

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

export interface TestWorldOptions {
  /** What the commands talk to; default a store in memory. */
  readonly calls?: StoreCalls;
  readonly world?: Partial<World>;
  readonly isTerminal?: boolean;
}

/** The command line in a world of its own: a store in memory and a working directory that is removed with it. */
export class TestWorld implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'stampede-command-'));
  readonly calls: StoreCalls;
  readonly store: StoreClient;
  readonly #options: TestWorldOptions;
  readonly #signalListeners = new Set<() => void>();
  #nowMs = 1_780_000_000_000;
  #stdout: Capture | undefined;

  constructor(options: TestWorldOptions = {}) {
    this.#options = options;
    this.calls = options.calls ?? memoryStore();
    this.store = storeClientOver(this.calls);
  }

  /** What the command that was started last has printed up to now. */
  get lastOutput(): string {
    return this.#stdout?.bytes.toString() ?? '';
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** As Ctrl-C; each one counts as a separate one. */
  signal(): void {
    this.#nowMs += 60_000;
    for (const listener of this.#signalListeners) listener();
  }

  run(...words: readonly string[]): Promise<RunResult> {
    return this.runWith(Buffer.alloc(0), ...words);
  }

  async runWith(stdin: Uint8Array, ...words: readonly string[]): Promise<RunResult> {
    const stdout = new Capture(this.#options.isTerminal);
    const stderr = new Capture(this.#options.isTerminal);
    this.#stdout = stdout;
    const world = this.#world({ stdin: Readable.from([stdin], { objectMode: false }), stdout, stderr });
    const code = await runProgram(words, { version: '1.2.3', commands, world });
    return {
      code,
      stdout: stdout.bytes.toString(),
      stdoutBytes: stdout.bytes,
      stderr: stderr.bytes.toString()
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #world(streams: Pick<World, 'stdin' | 'stdout' | 'stderr'>): World {
    const unexpected = (what: string) => () => Promise.reject(new Error(`${what} was not expected`));
    return {
      ...streams,
      environment: readEnvironment({
        HOME: this.directory,
        STAMPEDE_ACCESS_KEY: 'test',
        STAMPEDE_SECRET_KEY: 'secret'
      }),
      workingDirectory: this.directory,
      commandName: 'stampede',
      nowMs: () => this.#nowMs,
      connect: async () => storeClientOver(this.calls),
      startStamp: unexpected('a store'),
      startServer: unexpected('a server'),
      mount: unexpected('a mount'),
      findMount: async () => undefined,
      askMount: unexpected('a question to a mount'),
      unmount: unexpected('an unmount'),
      startDaemon: unexpected('a daemon'),
      reportReady: undefined,
      fuseDevice: this.path('fuse-device'),
      onSignal: (listener) => {
        this.#signalListeners.add(listener);
        return () => this.#signalListeners.delete(listener);
      },
      exit: unexpected('an exit'),
      ...this.#options.world
    };
  }
}

class Capture extends Writable {
  readonly isTTY: boolean;
  readonly #pieces: Buffer[] = [];

  constructor(isTTY = false) {
    super();
    this.isTTY = isTTY;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#pieces.push(Buffer.from(piece));
    done();
  }
}
