import { once } from 'node:events';
import colors from 'picocolors';
import { openProgress, type Progress, type ProgressOptions } from './progress.js';
import { formatTable, type TableOptions } from './table.js';
import type { OutputStream } from './world.js';

/** The reader of our output is gone, as `head` is after its lines: no failure. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

export interface OutputOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly hasColor: boolean;
  /** Called once when nobody reads the output any more. */
  readonly onClosed: (reason: OutputClosed) => void;
}

/** What a command prints: data on stdout, everything else on stderr. */
export class Output implements Disposable {
  readonly #options: OutputOptions;
  readonly #colors: ReturnType<typeof colors.createColors>;
  readonly #onError = (error: NodeJS.ErrnoException) => this.#failed(error);
  #failure: Error | undefined;

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#colors = colors.createColors(options.hasColor && options.stdout.isTTY === true);
    options.stdout.on('error', this.#onError);
    // Nobody can be told that stderr is gone.
    options.stderr.on('error', ignore);
  }

  /** Prints data, at the pace of its reader. @throws OutputClosed */
  async write(data: string | Uint8Array): Promise<void> {
    const { stdout } = this.#options;
    if (this.#failure) throw this.#failure;
    if (stdout.write(data)) return;
    // The one that comes second would listen on, once for each write.
    const listening = new AbortController();
    const { signal } = listening;
    await Promise.race([once(stdout, 'drain', { signal }), once(stdout, 'close', { signal })]).catch(
      () => undefined
    );
    listening.abort();
    if (this.#failure) throw this.#failure;
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** One JSON value a line. */
  json(data: unknown): Promise<void> {
    return this.line(JSON.stringify(data));
  }

  table(rows: readonly (readonly string[])[], options: TableOptions = {}): Promise<void> {
    if (rows.length === 0) return Promise.resolve();
    return this.write(formatTable(rows, options));
  }

  /** Says something beside the data, in one line. */
  note(text: string): void {
    this.#options.stderr.write(`${oneLine(text)}\n`);
  }

  progress(options: ProgressOptions): Progress {
    return openProgress(this.#options.stderr, options);
  }

  /** A name as it may be shown: on a terminal its control characters could do harm. */
  name(text: string): string {
    return this.isTerminal ? escapeControls(text) : text;
  }

  directoryName(text: string): string {
    return this.#colors.blue(this.name(text));
  }

  linkName(text: string): string {
    return this.#colors.cyan(this.name(text));
  }

  strong(text: string): string {
    return this.#colors.bold(text);
  }

  verdict(verdict: 'ok' | 'warn' | 'fail'): string {
    const { green, yellow, red } = this.#colors;
    return { ok: green, warn: yellow, fail: red }[verdict](verdict);
  }

  get isTerminal(): boolean {
    return this.#options.stdout.isTTY === true;
  }

  [Symbol.dispose](): void {
    this.#options.stdout.off('error', this.#onError);
    this.#options.stderr.off('error', ignore);
  }

  #failed(error: NodeJS.ErrnoException): void {
    const isReaderGone = error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED';
    const isFirst = this.#failure === undefined;
    this.#failure ??= isReaderGone ? new OutputClosed('the reader of the output is gone') : error;
    if (isFirst && this.#failure instanceof OutputClosed) this.#options.onClosed(this.#failure);
  }
}

/** Errors are one line, whatever is in a name or in a message. */
export function oneLine(text: string): string {
  return escapeControls(text.replace(/\s*\n\s*/g, ' ').trim());
}

function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const named: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r' };
    return named[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

function ignore(): void {}
