import { LIMITS } from '../api/index.js';
import type { BytesInFlight } from './bytes-in-flight.js';

/** One connection may not take all the memory that there is for calls in flight. */
export const CONNECTION_BYTES_MAX = LIMITS.frontEndBytesInFlightMax / 4;

/** The room that one call takes from its start until its answer is written. */
export interface AdmittedCall {
  /** Gives back what the call turned out not to need. */
  shrinkTo(bytes: number): void;
  /** Gives back the rest. */
  release(): void;
}

/** Decides whether a connection may start another call. */
export class CallAdmission {
  readonly #shared: BytesInFlight;
  readonly #retry: () => void;
  #callCount = 0;
  #bytes = 0;
  /** Refused for what the connection itself has in flight. */
  #waitsForOwn = false;
  #waitsForShared: Disposable | undefined;
  /** Taken from the shared bytes for the call that waits. */
  #granted = 0;

  /** @param retry   Called after a refusal, when it is worth asking again. */
  constructor(shared: BytesInFlight, retry: () => void) {
    this.#shared = shared;
    this.#retry = retry;
  }

  get callCount(): number {
    return this.#callCount;
  }

  /** `undefined` = not now: ask again with the same number of bytes when told to. */
  tryAdmit(bytes: number): AdmittedCall | undefined {
    if (this.#granted > 0) {
      this.#granted = 0;
      return this.#admit(bytes);
    }
    if (
      this.#callCount >= LIMITS.connectionCallsInFlightMax ||
      (this.#callCount > 0 && this.#bytes + bytes > CONNECTION_BYTES_MAX)
    ) {
      this.#waitsForOwn = true;
      return undefined;
    }
    if (this.#shared.tryTake(bytes)) return this.#admit(bytes);
    this.#waitsForShared = this.#shared.wait(bytes, () => {
      this.#waitsForShared = undefined;
      this.#granted = bytes;
      this.#retry();
    });
    return undefined;
  }

  /** Stops waiting. Calls that were admitted are released by those who have them. */
  end(): void {
    this.#waitsForOwn = false;
    this.#waitsForShared?.[Symbol.dispose]();
    this.#waitsForShared = undefined;
    if (this.#granted > 0) this.#shared.give(this.#granted);
    this.#granted = 0;
  }

  #admit(bytes: number): AdmittedCall {
    let held = bytes;
    let isReleased = false;
    this.#callCount += 1;
    this.#bytes += bytes;
    const shrinkTo = (wanted: number): void => {
      if (isReleased || wanted >= held) return;
      const freed = held - wanted;
      held = wanted;
      this.#bytes -= freed;
      this.#shared.give(freed);
    };
    return {
      shrinkTo: (wanted) => {
        shrinkTo(wanted);
        this.#askAgain();
      },
      release: () => {
        if (isReleased) return;
        shrinkTo(0);
        isReleased = true;
        this.#callCount -= 1;
        this.#askAgain();
      }
    };
  }

  #askAgain(): void {
    if (!this.#waitsForOwn) return;
    this.#waitsForOwn = false;
    this.#retry();
  }
}
