import { constants } from 'node:os';
import type { Clock } from '../clock.js';
import { type CallCount, CallCounts } from './call-counts.js';
import { OperationLog } from './operation-log.js';

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));
// Linux has two names for these numbers.
ERRNO_NAMES.set(constants.errno.EAGAIN, 'EAGAIN').set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');

/** What an operation is about, as the log shows it. */
export interface OperationSubject {
  readonly path: string;
  /** What else is to be said, never of bytes. */
  readonly details?: string;
}

/** Counts what a mount does and tells who reads along. Drivers report operations, the mount its calls to the store. */
export class Monitor {
  readonly operations = new CallCounts();
  readonly storeCalls = new CallCounts();
  readonly log = new OperationLog();
  /** What programs read and wrote. */
  readBytes = 0;
  writtenBytes = 0;
  /** Opened files, by who reads their bytes or why it is not the kernel by itself; only of drivers that know. */
  readonly opens = new Map<string, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  opened(outcome: string): void {
    this.opens.set(outcome, (this.opens.get(outcome) ?? 0) + 1);
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** `errno`: 0 when it succeeded. `subject`: only asked for while somebody reads the log. */
  ended(
    count: CallCount,
    {
      startedAtMs,
      errno,
      subject
    }: { startedAtMs: number; errno: number; subject?: OperationSubject | undefined }
  ): void {
    const durationMs = this.nowMs() - startedAtMs;
    count.ended(durationMs);
    const code = errno === 0 ? 'ok' : (ERRNO_NAMES.get(errno) ?? `errno ${errno}`);
    if (errno !== 0) count.failed(code);
    if (subject === undefined) return;
    const time = new Date(this.#clock.nowMs()).toISOString();
    const details = subject.details === undefined ? '' : ` ${subject.details}`;
    const path = JSON.stringify(subject.path);
    this.log.append(`${time} ${count.name} ${path}${details} ${code} ${durationMs.toFixed(3)}ms`);
  }
}
