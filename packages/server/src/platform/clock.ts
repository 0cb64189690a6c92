/** Time as the store sees it; a simulation replaces it by virtual time. */
export interface Clock {
  /** Wall clock, for what people and records see. May jump. */
  nowMs(): number;
  /** Never goes back; for deadlines, leases and durations. May be fractional. */
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when aborted first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `durationMs` unless disposed first. Does not keep the process alive. */
  setTimer(durationMs: number, run: () => void): Disposable;
}
