import t from 'tap';
import { seededRandom } from '../../platform/index.js';
import { areIndependent, type ModelCall, type ModelState, stepModel } from './store-model.js';

const KEYS = ['a', 'b', 'd/x', 'd/y', 'e/x'];
const PREFIXES = ['', 'd/', 'e/'];

t.test('calls that count as independent do and answer the same in either order', (t) => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
  const random = seededRandom(seed);
  let independentCount = 0;
  let token = 1;
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.fraction() * items.length)]!;
  const call = (): ModelCall => {
    token += 1;
    const key = pick(KEYS);
    return pick<() => ModelCall>([
      () => ({ type: 'put', key, token, length: 10 }),
      () => ({ type: 'create', key, token, length: 10 }),
      () => ({ type: 'putIf', key, token, length: 10, generation: 1 }),
      () => ({ type: 'append', key, token, length: 10 }),
      () => ({ type: 'overwrite', key, token, length: 10, offset: 5 }),
      () => ({ type: 'truncate', key, size: 7 }),
      () => ({ type: 'upload', key, token, length: 10 }),
      () => ({ type: pick(['read', 'head', 'delete']), key }),
      () => ({ type: pick(['rename', 'copy']), key, to: pick(KEYS.filter((other) => other !== key)) }),
      () => ({
        type: 'renamePrefix',
        ...pick([
          { prefix: 'd/', to: 'e/' },
          { prefix: 'e/', to: 'd/' }
        ])
      }),
      () => ({ type: pick(['deletePrefix', 'list']), prefix: pick(PREFIXES) })
    ])();
  };
  const both = (state: ModelState, first: ModelCall, second: ModelCall) => {
    const one = stepModel(state, first);
    const two = stepModel(one.state, second);
    return { state: two.state, answers: [one.answer, two.answer] };
  };
  for (let round = 0; round < 5000; round++) {
    let state: ModelState = [];
    for (let count = Math.floor(random.fraction() * 8); count > 0; count--)
      state = stepModel(state, call()).state;
    const [a, b] = [call(), call()];
    if (!areIndependent(a, b)) continue;
    independentCount += 1;
    const there = both(state, a, b);
    const back = both(state, b, a);
    const isSame =
      JSON.stringify([there.state, there.answers]) ===
      JSON.stringify([back.state, back.answers.toReversed()]);
    if (!isSame) t.fail(`seed ${seed}: ${JSON.stringify([a, b])} in ${JSON.stringify(state)}`);
  }
  t.ok(independentCount > 500, `seed ${seed}: ${independentCount} pairs`);
  t.end();
});
