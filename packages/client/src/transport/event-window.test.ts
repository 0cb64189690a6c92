import { StoreError, SUBSCRIPTION_CREDIT } from '@stampede/server/api';
import t from 'tap';
import { EventWindow } from './event-window.js';

t.test('the store may send as many more as the consumer has taken', async (t) => {
  let credit = SUBSCRIPTION_CREDIT;
  const window = new EventWindow((count) => {
    credit += count;
  });
  let sent = 0;
  let creditMin = credit;
  for (let taken = 0; taken < 1000; taken++) {
    while (credit > 0) {
      window.data({ data: sent });
      sent += 1;
      credit -= 1;
    }
    creditMin = Math.min(creditMin, credit);
    t.equal((await window.next())?.data, taken);
  }
  t.ok(sent - 1000 <= SUBSCRIPTION_CREDIT, `${sent} sent for 1000 taken`);
  t.throws(
    () => {
      for (let index = 0; index <= SUBSCRIPTION_CREDIT; index++) window.data({ data: index });
    },
    { code: 'InvalidArgument' }
  );
});

t.test('what came before the end is given before it', async (t) => {
  for (const error of [undefined, new StoreError('ServiceUnavailable', 'lost')]) {
    const window = new EventWindow(() => {});
    window.data({ data: 1 });
    if (error) window.failed(error);
    else window.stopped();
    t.equal((await window.next())?.data, 1);
    if (error) await t.rejects(window.next(), error);
    else t.equal(await window.next(), undefined);
  }
});

t.test('who waits is woken by an event and by the end', async (t) => {
  const window = new EventWindow(() => {});
  const next = window.next();
  window.data({ data: 'late' });
  t.equal((await next)?.data, 'late');
  const end = window.next();
  window.stopped();
  t.equal(await end, undefined);
});
