/** Upper bounds of the classes of durations, in seconds; what takes longer is in a last class of its own. */
export const DURATION_SECONDS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60
];
const BOUNDS_MS = DURATION_SECONDS.map((seconds) => seconds * 1000);

/** How often one kind of call ended, how long it took and how it failed. Made for every call: it allocates nothing. */
export class CallCount {
  readonly name: string;
  count = 0;
  durationMs = 0;
  /** One for each bound and the last class; not cumulative. */
  readonly classes = new Float64Array(BOUNDS_MS.length + 1);
  /** By the name of the errno or the code of the error. */
  readonly failures = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  ended(durationMs: number): void {
    this.count++;
    this.durationMs += durationMs;
    let index = 0;
    while (index < BOUNDS_MS.length && durationMs > BOUNDS_MS[index]!) index++;
    this.classes[index]! += 1;
  }

  failed(code: string): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
  }
}

/** Calls by their kind; there are as many as there are kinds. */
export class CallCounts {
  readonly #counts = new Map<string, CallCount>();

  of(name: string): CallCount {
    const known = this.#counts.get(name);
    if (known) return known;
    const made = new CallCount(name);
    this.#counts.set(name, made);
    return made;
  }

  /** Those that happened, by name. */
  all(): readonly CallCount[] {
    return [...this.#counts.values()]
      .filter(({ count }) => count > 0)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
