import type { AppendBlock, BlockLocation, OwnedStream } from '../stream/index.js';

export interface LogEntry<Result> extends AppendBlock {
  /** Called once the block is durable, and in the order of the appends. */
  readonly apply: (location: BlockLocation) => Result | Promise<Result>;
}

interface Waiting {
  outcome: (() => void) | undefined;
}

/** Appends mutations and applies each when it and all before it are decided, in their order. */
export class CommitLog {
  readonly #stream: OwnedStream;
  readonly #queue: Waiting[] = [];

  constructor(stream: OwnedStream) {
    this.#stream = stream;
  }

  get stream(): OwnedStream {
    return this.#stream;
  }

  /** Resolves with what `apply` gave. Fails as `OwnedStream.append`; then it was not applied. */
  append<Result>({ apply, ...block }: LogEntry<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { outcome: undefined };
      this.#queue.push(waiting);
      const settle = (outcome: () => void): void => {
        waiting.outcome = outcome;
        this.#drain();
      };
      this.#stream.append(block).then(
        (location) =>
          settle(() => {
            try {
              resolve(apply(location));
            } catch (error) {
              reject(error);
            }
          }),
        (error: unknown) => settle(() => reject(error))
      );
    });
  }

  #drain(): void {
    while (this.#queue[0]?.outcome) this.#queue.shift()!.outcome!();
  }
}
