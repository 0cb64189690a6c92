/** Runs pieces of work, a few at once, the others in the order they came. */
export class WorkQueue {
  readonly #atOnceMax: number;
  readonly #waiting: (() => void)[] = [];
  #runningCount = 0;

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#runningCount >= this.#atOnceMax)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#runningCount++;
    try {
      return await work();
    } finally {
      // Whoever waits takes over the place.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#runningCount--;
    }
  }
}
