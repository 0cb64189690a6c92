import { StoreError } from '../api/index.js';

/**
 * Shares the room of one request out to the calls of its batch, whose answers all wait for the last one. Calls start
 * as far as their longest answers fit beside the answers that are there.
 */
export class BatchAdmission {
  readonly #bytesMax: number;
  #taken = 0;
  #runningCount = 0;
  #wake: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Waits for room for an answer; call the result with what it has taken in the end.
   *
   * @throws StoreError `EntityTooLarge` when the other answers leave none.
   */
  async admit(bytes: number): Promise<(answerBytes: number) => void> {
    while (this.#taken + bytes > this.#bytesMax) {
      if (this.#runningCount === 0) {
        throw new StoreError(
          'EntityTooLarge',
          `The answers of one batch have at most ${this.#bytesMax} bytes. Ask for less at once.`
        );
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    this.#taken += bytes;
    this.#runningCount += 1;
    return (answerBytes) => {
      this.#taken -= bytes - Math.min(answerBytes, bytes);
      this.#runningCount -= 1;
      for (const wake of this.#wake.splice(0)) wake();
    };
  }
}
