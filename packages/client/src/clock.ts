/** Time as the client sees it; tests replace it by virtual time. The shape of the store's own clock. */
export interface Clock {
  /** Wall clock, for the lifetime of tokens. May jump. */
  nowMs(): number;
  /** Never goes back; for deadlines. */
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when aborted first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/** Randomness as the client sees it; tests replace it by a seeded generator. */
export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** A version 4 UUID. */
  uuid(): string;
}
