import { type ModelAnswer, type ModelCall, type ModelState, stepModel } from './store-model.js';

/** A state of the model, once for all who are in it: equal states are the same object. */
export interface KnownState {
  readonly id: number;
  readonly model: ModelState;
  readonly text: string;
  /** What calls do in it, by their id. */
  readonly steps: Map<number, KnownStep>;
}

export interface KnownStep {
  readonly state: KnownState;
  readonly answer: ModelAnswer;
}

/** States of a model and the steps between them, each worked out once. */
export class KnownStates {
  readonly #byText = new Map<string, KnownState>();
  #nextId = 1;

  get size(): number {
    return this.#byText.size;
  }

  find(model: ModelState): KnownState {
    const text = JSON.stringify(model);
    let state = this.#byText.get(text);
    if (!state) {
      state = { id: this.#nextId++, model, text, steps: new Map() };
      this.#byText.set(text, state);
    }
    return state;
  }

  step(state: KnownState, { id, call }: { readonly id: number; readonly call: ModelCall }): KnownStep {
    let step = state.steps.get(id);
    if (!step) {
      const { state: model, answer } = stepModel(state.model, call);
      step = { state: model === state.model ? state : this.find(model), answer };
      state.steps.set(id, step);
    }
    return step;
  }

  clear(): void {
    this.#byText.clear();
  }
}
