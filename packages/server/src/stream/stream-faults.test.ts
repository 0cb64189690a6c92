import t from 'tap';
import { isStoreError } from '../api/index.js';
import type { DiskRule } from '../platform/index.js';
import type { OwnedStream } from './stream-layer.js';
import {
  type AppendedBlock,
  appendBlocks,
  checkReadable,
  scanSequences,
  sequences
} from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

t.setTimeout(300_000);

const FAULTS = [
  { on: 'write', fail: 'ENOSPC' },
  { on: 'write', fail: 'EIO' },
  { on: 'sync', fail: 'EIO' },
  { on: 'sync', fail: 'ENOSPC' },
  { on: 'create', fail: 'ENOSPC' },
  { on: 'open', fail: 'EIO' },
  { on: 'read', fail: 'EIO' },
  { on: 'read', fail: 'flip' },
  { on: 'syncDirectory', fail: 'EIO' }
] as const satisfies readonly Pick<DiskRule, 'on' | 'fail'>[];
/** Happen only where a replica is cut or rebuilt, hence after another fault. */
const REPAIR_FAULTS = [
  { on: 'truncate', fail: 'EIO' },
  { on: 'rename', fail: 'EIO' },
  { on: 'remove', fail: 'EIO' }
] as const satisfies readonly Pick<DiskRule, 'on' | 'fail'>[];
const FIRST_FAULT = { on: 'write', path: '/n0/extents**', fail: 'EIO', times: 1, afterCount: 2 } as const;

interface Outcomes {
  readonly acknowledged: AppendedBlock[];
  readonly refused: number[];
  readonly codes: Set<string>;
}

/** One owner after the other, with a restart, rolling extents and appends in groups; as many tries as it takes. */
async function live(fixture: StreamFixture, { acknowledged, refused, codes }: Outcomes): Promise<void> {
  let epoch = 0;
  const open = async (): Promise<OwnedStream> => {
    for (let tries = 0; ; tries++) {
      epoch += 1;
      const opening = fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' });
      try {
        return await fixture.until(opening);
      } catch (error) {
        codes.add(isStoreError(error) ? `open: ${error.code}` : String(error));
        if (tries > 5) throw error;
      }
    }
  };
  let sequence = 1;
  for (let life = 0; life < 2; life++) {
    let stream = await open();
    for (let group = 0; group < 6; group++) {
      const numbers = sequences(sequence, 4);
      sequence += 4;
      const appends = numbers.map(async (number) => {
        for (let turns = number % 3; turns > 0; turns--)
          await new Promise((resolve) => setImmediate(resolve));
        try {
          acknowledged.push(...(await appendBlocks(stream, [number], () => 300)));
        } catch (error) {
          const code = isStoreError(error) ? error.code : String(error);
          codes.add(code);
          if (code === 'NoSpace') refused.push(number);
        }
      });
      await fixture.until(Promise.all(appends));
      if (codes.has('ReplicaUnavailable')) stream = await open();
    }
    if (life === 0) await fixture.restart();
  }
}

async function checkAll(fixture: StreamFixture, outcomes: Outcomes, epoch: number): Promise<void> {
  const opening = fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' });
  const found = await fixture.until(scanSequences(await fixture.until(opening)));
  if (new Set(found).size !== found.length) throw new Error(`a block is there twice: ${found.join(' ')}`);
  const lost = outcomes.acknowledged.filter(({ sequence }) => !found.includes(sequence));
  if (lost.length > 0) throw new Error(`lost ${lost.map((block) => block.sequence).join(' ')}`);
  const refused = outcomes.refused.filter((sequence) => found.includes(sequence));
  if (refused.length > 0) throw new Error(`there although refused: ${refused.join(' ')}`);
  await fixture.until(checkReadable(fixture.layer, outcomes.acknowledged));
}

const rows = [
  ...FAULTS.flatMap((fault) => [1, 3].map((folderCount) => ({ fault, folderCount, first: [] }))),
  ...REPAIR_FAULTS.map((fault) => ({ fault, folderCount: 3, first: [FIRST_FAULT] }))
];

for (const { fault, folderCount, first } of rows) {
  t.test(`${fault.fail} at each ${fault.on}, one at a time, ${folderCount} nodes`, async (t) => {
    let hasFired = true;
    let runs = 0;
    for (let afterCount = 0; hasFired; afterCount++) {
      await using fixture = await StreamFixture.start({
        seed: afterCount,
        folderCount,
        extentBytesMax: 7000,
        isSlow: true
      });
      const outcomes: Outcomes = { acknowledged: [], refused: [], codes: new Set() };
      hasFired = false;
      const { rules } = fixture.disk;
      for (const rule of first) rules.add(rule);
      const findFault = rules.findFault.bind(rules);
      rules.findFault = (operation, path) => {
        const found = findFault(operation, path);
        hasFired ||= found !== undefined && operation === fault.on;
        return found;
      };
      rules.add({ ...fault, path: '/n0/extents**', times: 1, afterCount });
      try {
        await live(fixture, outcomes);
        await checkAll(fixture, outcomes, 1000);
        // What was written around a fault must also survive what comes after.
        rules.clear();
        await fixture.until(fixture.layer.sweep());
        await fixture.crash();
        await checkAll(fixture, outcomes, 1001);
      } catch (error) {
        const text = error instanceof Error ? error.stack : String(error);
        t.fail(`fault ${afterCount}, codes ${[...outcomes.codes].join(' ')}: ${text}`);
      }
      if (folderCount > 1 && outcomes.codes.size > 0) {
        t.fail(`fault ${afterCount}: ${[...outcomes.codes].join(' ')} although two nodes were well`);
      }
      runs += 1;
    }
    t.ok(runs > 1, `${runs} runs`);
  });
}
