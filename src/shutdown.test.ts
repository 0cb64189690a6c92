import t from 'tap';
import { Shutdown } from './shutdown.js';

class Signals {
  nowMs = 0;
  readonly exits: number[] = [];
  #listener = () => {};

  open(): Shutdown {
    return new Shutdown({
      onSignal: (listener) => {
        this.#listener = listener;
        return () => {
          this.#listener = () => {};
        };
      },
      nowMs: () => this.nowMs,
      exit: (code) => this.exits.push(code)
    });
  }

  at(nowMs: number): void {
    this.nowMs = nowMs;
    this.#listener();
  }
}

t.test('the first signal asks, the second gives up, the third ends the process', async (t) => {
  const signals = new Signals();
  using shutdown = signals.open();
  signals.at(0);
  t.equal(shutdown.signal.aborted, true);
  t.equal(shutdown.isGivenUp, false);
  signals.at(1000);
  t.equal(shutdown.isGivenUp, true);
  t.same(signals.exits, []);
  signals.at(2000);
  t.same(signals.exits, [1]);
});

t.test('the same Ctrl-C that arrives by several ways is one', async (t) => {
  const signals = new Signals();
  using shutdown = signals.open();
  for (const atMs of [0, 3, 499]) signals.at(atMs);
  t.equal(shutdown.isGivenUp, false);
});

t.test('resources are closed the last opened first, also after one failed', async (t) => {
  using shutdown = new Signals().open();
  const closed: string[] = [];
  for (const name of ['a', 'b', 'c'])
    shutdown.opened({
      name,
      async close() {
        closed.push(name);
        if (name === 'b') throw new Error('b failed');
        return [];
      }
    });
  await t.rejects(shutdown.close(), /b failed/);
  t.same(closed, ['c', 'b', 'a']);
  await shutdown.close();
});

t.test('what was not stored is named, of all resources', async (t) => {
  using shutdown = new Signals().open();
  for (const name of ['a', 'b']) shutdown.opened({ name, close: async () => [`/${name}`] });
  await t.rejects(shutdown.close(), /^not stored: \/b, \/a$/);
});

t.test('giving up reaches a close that waits', async (t) => {
  const signals = new Signals();
  using shutdown = signals.open();
  let giveUp = () => {};
  const given = new Promise<void>((resolve) => {
    giveUp = resolve;
  });
  shutdown.opened({ name: 'slow', close: () => given.then(() => ['/left']), giveUp });
  signals.at(0);
  const closing = shutdown.close();
  signals.at(1000);
  await t.rejects(closing, /not stored: \/left/);
});

t.test('waiting ends with a signal, or with what it waits for', async (t) => {
  const signals = new Signals();
  using shutdown = signals.open();
  await shutdown.requested(Promise.resolve());
  await t.rejects(shutdown.requested(Promise.reject(new Error('lost'))), /lost/);
  const waiting = shutdown.requested();
  signals.at(0);
  await waiting;
  await shutdown.requested();
  t.pass();
});
