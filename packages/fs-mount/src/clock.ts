/** Time as the mount sees it; tests replace it by virtual time. The shape of the store's own clock. */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `durationMs` unless disposed first. */
  setTimer(durationMs: number, run: () => void): Disposable;
}
