import t from 'tap';
import { extentId } from '../api/index.js';
import { type CompactionLimits, chooseCompaction } from './compaction-policy.js';

const LIMITS: CompactionLimits = {
  spaceFactorMax: 1.2,
  slackBytes: 0,
  unusedPartMin: 0.1,
  extentsMax: 3,
  movedBytesMax: Number.POSITIVE_INFINITY
};

/** Extents of 100 bytes, by the bytes in use of each. */
const CASES: readonly {
  readonly name: string;
  readonly used: readonly number[];
  readonly limits?: Partial<CompactionLimits>;
  readonly stuck?: readonly number[];
  readonly chosen: readonly number[];
}[] = [
  { name: 'nothing', used: [], chosen: [] },
  { name: 'all used', used: [100, 100, 100], chosen: [] },
  { name: 'within the bound', used: [100, 90, 80], chosen: [] },
  { name: 'the least used first, no more than it takes', used: [100, 20, 100, 90], chosen: [2] },
  { name: 'several', used: [10, 20, 30, 100, 100], chosen: [1, 2, 3] },
  { name: 'no more than a pass takes', used: [10, 10, 10, 10, 10], chosen: [1, 2, 3] },
  {
    name: 'no more than there is room for',
    used: [20, 30, 40, 100],
    limits: { movedBytesMax: 60 },
    chosen: [1, 2]
  },
  {
    name: 'one that is larger than there is room for',
    used: [80],
    limits: { spaceFactorMax: 1, movedBytesMax: 60 },
    chosen: [1]
  },
  { name: 'not what goes by itself', used: [0, 100], chosen: [] },
  { name: 'not within the slack', used: [10], limits: { slackBytes: 100 }, chosen: [] },
  { name: 'not what gives too little', used: [95, 95, 95], limits: { spaceFactorMax: 1 }, chosen: [] },
  { name: 'not what is stuck', used: [10, 50], stuck: [1], chosen: [2] },
  { name: 'more in use than there is, as copies share', used: [150, 10], chosen: [2] }
];

for (const { name, used, limits, stuck = [], chosen } of CASES)
  t.test(name, (t) => {
    const extents = used.map((_, index) => ({
      extentId: extentId(index + 1),
      state: 'sealed' as const,
      length: 100
    }));
    const input = {
      extents,
      liveBytes: (id: number) => used[id - 1]!,
      isStuck: (id: number) => stuck.includes(id)
    };
    t.same(chooseCompaction(input, { ...LIMITS, ...limits }), chosen);
    t.end();
  });
