import t from 'tap';
import { BytesInFlight } from './bytes-in-flight.js';

t.test('gives what is free and no more', async (t) => {
  const bytes = new BytesInFlight(100);
  t.ok(bytes.tryTake(60));
  t.notOk(bytes.tryTake(41));
  t.ok(bytes.tryTake(40));
  bytes.give(60);
  t.equal(bytes.taken, 40);
});

t.test('serves those who wait in their order, so that a large one is not passed for ever', async (t) => {
  const bytes = new BytesInFlight(100);
  const order: string[] = [];
  bytes.tryTake(90);
  bytes.wait(50, () => order.push('large'));
  bytes.wait(10, () => order.push('small'));
  t.notOk(bytes.tryTake(5), 'nobody passes those who wait');
  bytes.give(30);
  t.same(order, [], 'the first does not fit yet');
  bytes.give(60);
  t.same(order, ['large', 'small']);
  t.equal(bytes.taken, 60);
});

t.test('who gives up holds nobody back', async (t) => {
  const bytes = new BytesInFlight(100);
  const order: string[] = [];
  bytes.tryTake(90);
  const large = bytes.wait(50, () => order.push('large'));
  bytes.wait(10, () => order.push('small'));
  large[Symbol.dispose]();
  t.same(order, ['small']);
  large[Symbol.dispose]();
  t.equal(bytes.taken, 100);
});

t.test('who is granted may take more at once', async (t) => {
  const bytes = new BytesInFlight(100);
  bytes.tryTake(100);
  let took: boolean | undefined;
  bytes.wait(10, () => {
    took = bytes.tryTake(80);
  });
  bytes.give(100);
  t.ok(took);
  t.equal(bytes.taken, 90);
});
