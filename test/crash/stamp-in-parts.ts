import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  COMMAND,
  type CommandProcess,
  freePort,
  ROOT,
  type StoreProcess,
  startMount,
  startStore
} from '../support/store-process.js';
import { type Content, differences, outcomes } from './journal.js';

/* What `kill-parts.test.ts` kills, and the programs that write meanwhile. */

const run = promisify(execFile);
/** Of each writer. */
const FILES = 40;

/** A store and a drive on it, each of which is started anew at the same place. */
export class StampInParts implements AsyncDisposable {
  readonly directory: string;
  readonly #data: string;
  readonly #driver: string;
  #port: number | undefined;
  store!: Ending<StoreProcess>;
  drive!: Ending<CommandProcess>;

  constructor(folder: string, driver: string) {
    this.directory = join(folder, 'drive');
    this.#data = join(folder, 'data');
    this.#driver = driver;
    mkdirSync(this.directory);
  }

  async startStore(): Promise<void> {
    this.#port ??= await freePort();
    this.store = ending(await startStore({ data: this.#data, port: this.#port }));
  }

  async createBucket(): Promise<void> {
    await run(process.execPath, [COMMAND, 'bucket', 'create', 'files', '--data', this.#data]);
  }

  async startDrive(): Promise<void> {
    const { endpoint } = this.store;
    const [data, directory, driver] = [this.#data, this.directory, this.#driver];
    this.drive = ending(await startMount({ data, endpoint, bucket: 'files', directory, driver }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drive?.[Symbol.asyncDispose]();
    await this.store?.[Symbol.asyncDispose]();
  }
}

type Ending<Command extends CommandProcess> = Command & { end(): Promise<number | null> };

function ending<Command extends CommandProcess>(command: Command): Ending<Command> {
  const end = async () => {
    await command[Symbol.asyncDispose]();
    return command.process.exitCode;
  };
  return { ...command, end };
}

/** One program that writes in a directory of its own, with what its files may hold. */
export class Writer {
  readonly #drive: string;
  readonly #journal: string;
  readonly #expected = new Map<number, Content>();
  #child: ChildProcess | undefined;
  ended: Promise<unknown> = Promise.resolve();

  constructor(drive: string, folder: string, index: number) {
    this.#drive = join(drive, `writer-${index}`);
    this.#journal = join(folder, `journal-${index}`);
  }

  start(seed: number): void {
    for (const end of ['', '.stop', '.gone']) rmSync(`${this.#journal}${end}`, { force: true });
    const program = join(ROOT, 'test/crash/writer.mjs');
    const child = spawn(
      process.execPath,
      [program, this.#drive, this.#journal, String(seed), String(FILES)],
      {
        stdio: 'inherit'
      }
    );
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('exit', resolve));
  }

  /** Waits for further operations; false when the program has ended instead. */
  async goesOn(): Promise<boolean> {
    const before = this.#journalBytes;
    while (this.#journalBytes < before + 500) {
      if (this.#child?.exitCode !== null) return false;
      await sleep(20);
    }
    return true;
  }

  async stop(): Promise<void> {
    writeFileSync(`${this.#journal}.stop`, '');
    await this.ended;
  }

  async check(): Promise<{ errors: string[]; found: string[]; count: number }> {
    const expected = this.#expected;
    const { possible, errors, count } = outcomes(expected, this.#journal);
    const wasStopped = existsSync(`${this.#journal}.stop`);
    if (wasStopped && existsSync(`${this.#journal}.gone`))
      errors.push(`the writer had to end: ${readFileSync(`${this.#journal}.gone`, 'utf8')}`);
    const found = await differences({ drive: this.#drive, fileCount: FILES, possible, expected });
    return { errors, found: found.map((text) => `${this.#drive}: ${text}`), count };
  }

  get #journalBytes(): number {
    return existsSync(this.#journal) ? statSync(this.#journal).size : 0;
  }
}

/** A program that has a file of the drive open and is in it, until it is killed. */
export async function sitIn(directory: string): Promise<ChildProcess> {
  const script = 'exec 3> sitting; echo x >&3; echo sits; read';
  const child = spawn('bash', ['-c', script], { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}
