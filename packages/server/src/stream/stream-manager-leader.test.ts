import t from 'tap';
import { openEmbeddedMetaStore } from '../coordination/index.js';
import { manualClock, memoryOrderedStore, seededRandom } from '../platform/index.js';
import { NodeDirectory } from './node-directory.js';
import type { StreamEvent } from './stream-event.js';
import { StreamManagerLeader } from './stream-manager-leader.js';

const DAY_MS = 86_400_000;

async function start() {
  const clock = manualClock();
  const random = seededRandom(1);
  const meta = await openEmbeddedMetaStore({ store: await memoryOrderedStore(), clock, random });
  const session = meta.connect();
  const events: StreamEvent[] = [];
  const leader = await StreamManagerLeader.start({
    metaStore: session,
    clock,
    random,
    nodes: new NodeDirectory({ clock, replicaCount: 1, find: () => undefined, reachable: () => [] }),
    candidate: 'a:1',
    onEvent: (event) => void events.push(event)
  });
  const close = async (): Promise<void> => {
    await Promise.all([leader.close(), clock.advance(60_000)]);
    await meta.close();
  };
  return { clock, session, leader, events, [Symbol.asyncDispose]: close };
}

t.test('a stream manager whose machine slept past its lease answers nothing when it wakes', async (t) => {
  await using stamp = await start();
  const { clock, session, leader, events } = stamp;
  // Asleep it keeps nothing alive.
  session.cutOff();
  clock.suspend(1000);
  t.same(await leader.members(), { members: [] });
  const underWay = leader.members();
  clock.suspend(60_000);
  t.equal(leader.isLeading, false);
  t.equal(leader.epoch, undefined);
  await t.rejects(underWay, { code: 'ServiceUnavailable' }, 'nor what it was asked before');
  await t.rejects(leader.members(), { code: 'ServiceUnavailable' });
  t.notOk(
    events.some(({ type }) => type === 'stream-manager-ended'),
    'no timer has come due'
  );
  await clock.advance(10_000);
  t.ok(events.some(({ type }) => type === 'stream-manager-ended'));
});

t.test('a wall clock that is set forward or back ends no leadership and lengthens none', async (t) => {
  await using stamp = await start();
  const { clock, session, leader } = stamp;
  for (const byMs of [DAY_MS, -2 * DAY_MS]) {
    clock.setNowMs(clock.nowMs() + byMs);
    t.same(await leader.members(), { members: [] });
  }
  session.cutOff();
  clock.setNowMs(clock.nowMs() - DAY_MS);
  await clock.advance(6000);
  await t.rejects(leader.members(), { code: 'ServiceUnavailable' });
});
