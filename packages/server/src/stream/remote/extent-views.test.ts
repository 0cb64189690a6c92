import t from 'tap';
import { extentId, type MemberId, memberId, StoreError } from '../../api/index.js';
import { manualClock } from '../../platform/index.js';
import type { ExtentNodeApi } from '../extent-node-api.js';
import { NodeDirectory } from '../node-directory.js';
import type { ExtentView, StreamManagerApi } from '../stream-manager-api.js';
import { StreamReader } from '../stream-reader.js';
import { withExtentViews } from './extent-views.js';

const ID = extentId(1);
const RANGE = { extentId: ID, blockOffset: 0, start: 0, length: 4 };
const BYTES = Buffer.from('abcd');
const [A, B] = [memberId('a'), memberId('b')];

/** A reader whose manager and nodes are as the fields say. Nothing lets time pass. */
function start() {
  const clock = manualClock();
  const stamp = {
    clock,
    view: { replicas: [A] } as ExtentView | undefined,
    findCount: 0,
    readCount: 0,
    /** What the nodes answer that do not have it; those that have it give its bytes. */
    failures: new Map<MemberId, StoreError>(),
    reports: [] as MemberId[],
    reporting: Promise.resolve()
  };
  const manager = {
    findExtent: async () => {
      stamp.findCount += 1;
      return stamp.view;
    },
    reportDamage: async (message: { readonly memberId: MemberId }) => {
      stamp.reports.push(message.memberId);
      await stamp.reporting;
    }
  } as unknown as StreamManagerApi;
  const nodeOf = (id: MemberId) =>
    ({
      readBlock: async () => {
        stamp.readCount += 1;
        const failure = stamp.failures.get(id);
        if (failure) throw failure;
        return BYTES;
      }
    }) as unknown as ExtentNodeApi;
  const nodes = new NodeDirectory({ clock, replicaCount: 1, find: nodeOf, reachable: () => [] });
  const reader = new StreamReader({ manager: withExtentViews(manager, clock), nodes });
  return { stamp, reader };
}

const FAILURES: readonly StoreError[] = [
  new StoreError('ExtentNotFound', 'It was moved.'),
  new StoreError('ReplicaUnavailable', 'The node is gone.'),
  new StoreError('ServiceUnavailable', 'The node has no connection.')
];

for (const failure of FAILURES) {
  t.test(`a read that finds ${failure.code} where a replica was reads it where it is, at once`, async (t) => {
    const { stamp, reader } = start();
    t.same(await reader.readBlock(RANGE), BYTES);
    stamp.failures.set(A, failure);
    stamp.view = { replicas: [B] };
    t.same(await reader.readBlock(RANGE), BYTES);
    t.equal(stamp.findCount, 2);
    t.same(await reader.readBlock(RANGE), BYTES, 'and the next one looks nothing up');
    t.equal(stamp.findCount, 2);
    t.equal(stamp.clock.monotonicMs(), 0);
  });
}

t.test('a report that nobody takes delays no read', async (t) => {
  const { stamp, reader } = start();
  stamp.view = { replicas: [A, B] };
  stamp.failures.set(A, FAILURES[0]!);
  stamp.reporting = new Promise(() => undefined);
  t.same(await reader.readBlock(RANGE), BYTES);
  t.same(stamp.reports, [A]);
});

t.test('a read asks anew once, and fails when the replicas are elsewhere again', async (t) => {
  const { stamp, reader } = start();
  await reader.readBlock(RANGE);
  for (const id of [A, B]) stamp.failures.set(id, FAILURES[1]!);
  stamp.view = { replicas: [B] };
  stamp.readCount = 0;
  await t.rejects(reader.readBlock(RANGE), { code: 'ReplicaUnavailable' });
  t.equal(stamp.readCount, 2);
  t.ok(stamp.findCount <= 3, `${stamp.findCount} look-ups`);
});

t.test('an extent that was deleted is said to be, whatever was remembered', async (t) => {
  const { stamp, reader } = start();
  await reader.readBlock(RANGE);
  stamp.failures.set(A, FAILURES[1]!);
  stamp.view = undefined;
  await t.rejects(reader.readBlock(RANGE), { code: 'ExtentNotFound' });
});

t.test('a slow answer does not replace that of a later question', async (t) => {
  const answers: ((view: ExtentView) => void)[] = [];
  const manager = {
    findExtent: () => new Promise<ExtentView>((resolve) => answers.push(resolve))
  } as unknown as StreamManagerApi;
  const views = withExtentViews(manager, manualClock());
  const first = views.findExtent({ extentId: ID });
  const second = views.findExtent({ extentId: ID }, { isKnownStale: true });
  answers[1]!({ replicas: [B] });
  await second;
  answers[0]!({ replicas: [A] });
  await first;
  t.same(await views.findExtent({ extentId: ID }), { replicas: [B] });
});
