/** Time as the store sees it; a simulation replaces it by virtual time. */
export interface Clock {
  /** Wall clock, for what people and records see. May jump. */
  nowMs(): number;
  /** Never goes back; for deadlines and durations. May be fractional. Stands still while the machine sleeps, as timers do. */
  monotonicMs(): number;
  /** Never goes back, nor stands still while the machine sleeps; for leases, which others count through that. */
  elapsedMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when aborted first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `durationMs` unless disposed first. Does not keep the process alive. */
  setTimer(durationMs: number, run: () => void): Disposable;
}
