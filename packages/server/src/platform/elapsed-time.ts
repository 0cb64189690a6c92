/** Where times come from, in milliseconds. */
export interface TimeSources {
  /** Stands still while the machine sleeps. */
  monotonicMs(): number;
  /** Cheap; jumps when the machine wakes, and when somebody sets it. */
  wallMs(): number;
  /** Goes on while the machine sleeps; costs some microseconds, and counts in steps of 10 ms. */
  uptimeMs(): number;
}

/** The wall clock moved so much against the monotonic one: the machine may have slept. */
const JUMP_MS = 20;
const CHECK_MS = 1000;

/**
 * A monotonic time that goes on while the machine sleeps, and costs hardly more than one that does not: how long it slept
 * is looked up when the wall clock has jumped, and every second.
 */
export function elapsedTime(sources: TimeSources): () => number {
  const measure = (monotonicMs: number): number => sources.uptimeMs() - monotonicMs;
  const startMs = sources.monotonicMs();
  const offsetMs = measure(startMs);
  let wallOffsetMs = sources.wallMs() - startMs;
  let checkedAtMs = startMs;
  let sleptMs = 0;
  return () => {
    const monotonicMs = sources.monotonicMs();
    const nextOffsetMs = sources.wallMs() - monotonicMs;
    if (Math.abs(nextOffsetMs - wallOffsetMs) > JUMP_MS || monotonicMs - checkedAtMs > CHECK_MS) {
      wallOffsetMs = nextOffsetMs;
      checkedAtMs = monotonicMs;
      sleptMs = Math.max(sleptMs, measure(monotonicMs) - offsetMs);
    }
    return monotonicMs + sleptMs;
  };
}
