import t from 'tap';
import { onAbort } from './on-abort.js';

t.test('everyone is told once, in order, save who has gone', (t) => {
  const controller = new AbortController();
  const told: number[] = [];
  const remove = [1, 2, 3].map((number) => onAbort(controller.signal, () => told.push(number)));
  remove[1]!();
  controller.abort();
  controller.abort();
  t.same(told, [1, 3]);
  t.end();
});

t.test('who goes while the others are told is not told any more, and nobody is missed', (t) => {
  const controller = new AbortController();
  const told: string[] = [];
  const removeFirst = onAbort(controller.signal, () => {
    told.push('first');
    removeFirst();
  });
  onAbort(controller.signal, () => told.push('second'));
  controller.abort();
  t.same(told, ['first', 'second']);
  t.end();
});

t.test('many calls on one signal are no leak', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  const { signal } = new AbortController();
  for (let index = 0; index < 100; index++) onAbort(signal, () => {});
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', note);
  t.same(warnings, []);
});
