import { type KnownState, KnownStates } from './known-states.js';
import { areIndependent, bytesOf, isRead, type ModelAnswer, type ModelCall } from './store-model.js';

/** A call that has begun. */
export interface OpenCall {
  readonly id: number;
  readonly call: ModelCall;
  readonly startedMs: number;
}

/** One way in which all that is known could have happened. */
interface Possibility {
  readonly state: KnownState;
  /** Calls that have taken effect and were not answered yet, with what they must answer, by id. */
  readonly done: ReadonlyMap<number, ModelAnswer>;
}

interface AnsweredCall {
  readonly opened: OpenCall;
  readonly answer: ModelAnswer;
  /** What may have happened before it. */
  readonly others: readonly OpenCall[];
}

/** States that are remembered although they may be impossible by now. */
const STATES_KEPT = 2000;
/** More at once means that too many calls were left without an answer. */
const POSSIBILITIES_MAX = 50_000;
const HISTORY_KEPT = 200;

/**
 * Judges calls on one prefix while they are made: keeps every state of the model in which the store may be, given all
 * answers so far (Lowe's just-in-time linearization). A call takes effect once, between its start and its answer; one
 * that nobody answered, at any time after its start or never.
 */
export class LinearizabilityMonitor {
  readonly #open = new Map<number, OpenCall>();
  readonly #givenUp = new Set<number>();
  readonly #states = new KnownStates();
  #possibilities: Possibility[] = [{ state: this.#states.find([]), done: new Map() }];
  #nextId = 1;
  readonly #history: string[] = [];

  begin(call: ModelCall, nowMs: number): OpenCall {
    const opened = { id: this.#nextId++, call, startedMs: nowMs };
    this.#open.set(opened.id, opened);
    return opened;
  }

  /** Nobody will ever know: a read may be forgotten, a change stays possible. */
  giveUp(opened: OpenCall): void {
    this.#note(opened, 'unknown');
    if (isRead(opened.call)) this.#open.delete(opened.id);
    else this.#givenUp.add(opened.id);
  }

  /** In how many ways all answers so far can be explained. */
  get possibilityCount(): number {
    return this.#possibilities.length;
  }

  /** Bytes of all objects, in that possible state that has most. */
  get bytesMax(): number {
    return Math.max(...this.#possibilities.map(({ state }) => bytesOf(state.model)));
  }

  get givenUpCount(): number {
    return this.#givenUp.size;
  }

  /** @returns What is wrong, or `undefined`. */
  end(opened: OpenCall, answer: ModelAnswer): string | undefined {
    this.#note(opened, String(answer));
    const before = this.#possibilities;
    const next = new Map<string, Possibility>();
    const answered = { opened, answer, others: this.#related(opened) };
    for (const possibility of before) this.#explain(possibility, answered, next, new Set());
    this.#open.delete(opened.id);
    this.#possibilities = [...next.values()];
    this.#forgetStates();
    if (next.size > POSSIBILITIES_MAX) return 'too many calls are without an answer to judge the others';
    if (next.size > 0) return undefined;
    const states = before.slice(0, 5).map(({ state }) => state.text);
    return [
      `no order of the calls explains that ${JSON.stringify(opened.call)} answers ${JSON.stringify(answer)}`,
      `  before it: ${states.join(' or ')}${before.length > 5 ? ` or ${before.length - 5} more` : ''}`,
      ...this.#history.slice(-40).map((line) => `  ${line}`)
    ].join('\n');
  }

  /**
   * Open calls whose order with the answered one could matter, also by way of others. All that touch none of their keys
   * can as well take effect later.
   */
  #related(opened: OpenCall): readonly OpenCall[] {
    const found = [opened];
    let rest = [...this.#open.values()].filter((other) => other.id !== opened.id);
    for (let at = 0; at < found.length; at++) {
      const { call } = found[at]!;
      found.push(...rest.filter((other) => !areIndependent(call, other.call)));
      rest = rest.filter((other) => areIndependent(call, other.call));
    }
    return found.slice(1).sort((a, b) => a.id - b.id);
  }

  /** Every way to take effect for the answered call, with any of the related ones before it. */
  #explain(
    { state, done }: Possibility,
    answered: AnsweredCall,
    found: Map<string, Possibility>,
    seen: Set<string>
  ): void {
    const { opened, answer, others } = answered;
    const early = done.get(opened.id);
    if (early !== undefined) {
      if (early === answer) keep(found, { state, done: without(done, opened.id) });
      return;
    }
    const place = keyOf({ state, done });
    if (seen.has(place)) return;
    seen.add(place);
    const own = this.#states.step(state, opened);
    if (own.answer === answer) keep(found, { state: own.state, done });
    for (const other of others) {
      if (done.has(other.id)) continue;
      const step = this.#states.step(state, other);
      // Nobody hears of a call that was given up, so where it changes nothing it need not happen.
      if (this.#givenUp.has(other.id) && step.state === state) continue;
      this.#explain(
        { state: step.state, done: new Map(done).set(other.id, step.answer) },
        answered,
        found,
        seen
      );
    }
  }

  #forgetStates(): void {
    if (this.#states.size < STATES_KEPT) return;
    this.#states.clear();
    this.#possibilities = this.#possibilities.map(({ state, done }) => ({
      state: this.#states.find(state.model),
      done
    }));
  }

  #note({ id, call, startedMs }: OpenCall, outcome: string): void {
    this.#history.push(`#${id} from ${startedMs.toFixed(1)} ${JSON.stringify(call)} → ${outcome}`);
    if (this.#history.length > HISTORY_KEPT) this.#history.shift();
  }
}

function keep(found: Map<string, Possibility>, possibility: Possibility): void {
  found.set(keyOf(possibility), possibility);
}

function without(done: ReadonlyMap<number, ModelAnswer>, id: number): ReadonlyMap<number, ModelAnswer> {
  const rest = new Map(done);
  rest.delete(id);
  return rest;
}

function keyOf({ state, done }: Possibility): string {
  if (done.size === 0) return String(state.id);
  const ids = [...done.keys()].sort((a, b) => a - b);
  return `${state.id} ${ids.map((id) => `${id}=${done.get(id)}`).join(' ')}`;
}
