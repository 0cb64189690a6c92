/*
 * Whether calls that ran at the same time could have happened one after the other: a search for an order that respects
 * which call had ended before which began, and in which each answer is the one of a simple model (Wing and Gong, with
 * the states that were seen remembered, as Lowe does).
 */

export interface Operation<Call, Answer> {
  readonly call: Call;
  /** Absent = nobody knows: it happened once, at any time from its start on, or never. */
  readonly answer?: Answer | undefined;
  readonly startedAt: number;
  /** Infinite without an answer. */
  readonly endedAt: number;
}

/** What calls do, one after the other. States and answers are compared as JSON. */
export interface Model<State, Call, Answer> {
  readonly initial: State;
  readonly step: (state: State, call: Call) => { readonly state: State; readonly answer: Answer };
}

const STATES_MAX = 2_000_000;

export function isLinearizable<State, Call, Answer>(
  history: readonly Operation<Call, Answer>[],
  model: Model<State, Call, Answer>
): boolean {
  const operations = [...history].sort((a, b) => a.startedAt - b.startedAt);
  const known = operations.map(({ answer }) => answer !== undefined);
  const done = new Array<boolean>(operations.length).fill(false);
  const seen = new Set<string>();

  const search = (state: State): boolean => {
    if (done.every((isDone, index) => isDone || !known[index])) return true;
    const place = `${done.map(Number).join('')} ${JSON.stringify(state)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    if (seen.size > STATES_MAX) throw new Error('the history is too long to be judged');
    // Whatever ended first must come before everything that began after that.
    let firstEnd = Number.POSITIVE_INFINITY;
    for (const [index, { endedAt }] of operations.entries())
      if (!done[index]) firstEnd = Math.min(firstEnd, endedAt);
    for (const [index, operation] of operations.entries()) {
      if (done[index]) continue;
      if (operation.startedAt > firstEnd) break;
      const next = model.step(state, operation.call);
      if (operation.answer !== undefined && JSON.stringify(next.answer) !== JSON.stringify(operation.answer))
        continue;
      done[index] = true;
      if (search(next.state)) return true;
      done[index] = false;
    }
    return false;
  };
  return search(model.initial);
}
