import t from 'tap';
import { CallQueue } from './call-queue.js';

const call = (name: string, isBulk = false) => ({ name, isBulk });

t.test('small calls pass bulk ones, and each kind keeps its order', (t) => {
  const queue = new CallQueue<ReturnType<typeof call>>();
  for (const one of [call('A', true), call('a'), call('B', true), call('b')]) queue.add(one);
  const order: (string | undefined)[] = [];
  for (const withBulk of [true, false, false, true, true, true]) order.push(queue.take({ withBulk })?.name);
  t.same(order, ['a', 'b', undefined, 'A', 'B', undefined]);
  t.equal(queue.size, 0);
  t.end();
});

t.test('a call that is withdrawn is not taken', (t) => {
  const queue = new CallQueue<ReturnType<typeof call>>();
  const [first, second, bulk] = [call('a'), call('b'), call('A', true)];
  for (const one of [first, second, bulk]) queue.add(one);
  t.ok(queue.delete(first));
  t.notOk(queue.delete(first), 'once');
  t.same(
    queue.takeAll().map(({ name }) => name),
    ['b', 'A']
  );
  t.notOk(queue.delete(bulk), 'it was taken');
  t.end();
});
