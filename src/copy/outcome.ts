import { type ErrorCode, isStoreError } from '@stampede/client';
import { describeFailure } from '../describe-error.js';
import { OutputClosed } from '../output.js';
import { CommandError, ToldError, UsageError } from '../usage-error.js';

const FAILURES_SHOWN_MAX = 20;

/** These would meet every other file too. */
const FATAL_CODES: readonly ErrorCode[] = [
  'Unauthenticated',
  'NoSuchBucket',
  'NoSpace',
  'QuotaExceeded',
  'ServiceUnavailable',
  'DeadlineExceeded',
  'Cancelled'
];
const FATAL_ERRNOS = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'ABORT_ERR', 'EPIPE', 'EMFILE']);

/** What became of many files: failures of single ones are shown, counted, and do not stop the others. */
export class Outcome {
  readonly #note: (text: string) => void;
  #doneCount = 0;
  #bytes = 0;
  #failedCount = 0;

  constructor(note: (text: string) => void) {
    this.#note = note;
  }

  get doneCount(): number {
    return this.#doneCount;
  }

  get failedCount(): number {
    return this.#failedCount;
  }

  get summary(): { readonly objectCount: number; readonly bytes: number; readonly failedCount: number } {
    return { objectCount: this.#doneCount, bytes: this.#bytes, failedCount: this.#failedCount };
  }

  done(bytes: number): void {
    this.#doneCount += 1;
    this.#bytes += bytes;
  }

  /** @throws The error, when the other files would fail the same way. */
  failed(name: string, error: unknown): void {
    if (isFatal(error)) throw error;
    this.#failedCount += 1;
    const text = describeFailure(error);
    if (this.#failedCount <= FAILURES_SHOWN_MAX)
      this.#note(`stampede: ${text.includes(name) ? text : `${name}: ${text}`}`);
    else if (this.#failedCount === FAILURES_SHOWN_MAX + 1) this.#note('stampede: … and more');
  }

  /** @throws CommandError when something failed, ToldError when that was all; the action as "copied". */
  finish(action: string): void {
    if (this.#failedCount === 0) return;
    if (this.#failedCount === 1 && this.#doneCount === 0) throw new ToldError('told already');
    const count = this.#doneCount + this.#failedCount;
    throw new CommandError(`${this.#failedCount} of ${count} entries could not be ${action}`);
  }
}

function isFatal(error: unknown): boolean {
  if (error instanceof OutputClosed || error instanceof UsageError) return true;
  if (isStoreError(error)) return FATAL_CODES.includes(error.code);
  return error instanceof Error && 'code' in error && FATAL_ERRNOS.has(String(error.code));
}
