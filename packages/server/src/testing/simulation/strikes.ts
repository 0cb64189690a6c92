import type { Fault } from './fault.js';
import type { NetworkObserver, SeenAnswer, SeenCall } from './network.js';
import { isStep } from './protocol-steps.js';

export type Strike = Fault & { readonly type: 'strike' };

interface Armed {
  readonly strike: Strike;
  readonly hit: (call: SeenCall) => void;
  countdown: number;
}

/** Waits for steps of protocols at which something shall go wrong. */
export class Strikes implements NetworkObserver {
  #armed: readonly Armed[] = [];

  /** `hit` runs once, at the step. */
  arm(strike: Strike, hit: (call: SeenCall) => void): void {
    this.#armed = [...this.#armed, { strike, hit, countdown: strike.countdown }];
  }

  disarmAll(): void {
    this.#armed = [];
  }

  onArrived(call: SeenCall): void {
    this.#see(call, 'arrives');
  }

  onAnswered(call: SeenCall, _answer: SeenAnswer): void {
    this.#see(call, 'answered');
  }

  #see(call: SeenCall, phase: Strike['phase']): void {
    for (const armed of this.#armed) {
      const { strike, hit } = armed;
      if (strike.phase !== phase || !isStep(strike.step, call)) continue;
      armed.countdown -= 1;
      if (armed.countdown > 0) continue;
      this.#armed = this.#armed.filter((other) => other !== armed);
      hit(call);
    }
  }
}
