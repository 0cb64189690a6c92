import t from 'tap';
import { faultDomain, memberId } from '../api/index.js';
import { seededRandom } from '../platform/index.js';
import { choosePlacement, type PlacementCandidate } from './placement.js';

interface Row {
  readonly name: string;
  /** `name:rack:free`, then `!` = full, `?` = suspect. */
  readonly nodes: readonly string[];
  readonly replicaCount: number;
  /** How many are chosen, of which all or only these. */
  readonly count: number;
  readonly among?: readonly string[];
}

function candidateOf(text: string): PlacementCandidate {
  const [name, rack, free] = text.replace(/[!?]/g, '').split(':') as [string, string, string];
  const isFull = text.includes('!');
  const isSuspect = text.includes('?');
  return {
    memberId: memberId(name),
    faultDomain: faultDomain(rack),
    freeBytes: Number(free),
    isFull,
    isSuspect
  };
}

const rows: Row[] = [
  { name: 'one node', nodes: ['a:1:5'], replicaCount: 1, count: 1, among: ['a'] },
  { name: 'three racks', nodes: ['a:1:5', 'b:2:5', 'c:3:5'], replicaCount: 3, count: 3 },
  { name: 'two in one rack', nodes: ['a:1:5', 'b:1:5', 'c:2:5'], replicaCount: 3, count: 2 },
  { name: 'a full one', nodes: ['a:1:5!', 'b:2:5', 'c:3:5'], replicaCount: 2, count: 2, among: ['b', 'c'] },
  { name: 'an empty disk of no space', nodes: ['a:1:0', 'b:2:5'], replicaCount: 2, count: 1, among: ['b'] },
  {
    name: 'a suspect is spared',
    nodes: ['a:1:99?', 'b:2:1', 'c:3:1'],
    replicaCount: 2,
    count: 2,
    among: ['b', 'c']
  },
  { name: 'a suspect is needed', nodes: ['a:1:9?', 'b:2:9'], replicaCount: 2, count: 2 },
  { name: 'nobody', nodes: [], replicaCount: 3, count: 0 }
];

for (const { name, nodes, replicaCount, count, among } of rows) {
  t.test(`placement: ${name}`, (t) => {
    const candidates = nodes.map(candidateOf);
    const random = seededRandom(5);
    for (let round = 0; round < 50; round++) {
      const chosen = choosePlacement({ candidates, replicaCount, fraction: () => random.fraction() });
      t.equal(chosen.length, count);
      const racks = chosen.map((id) => candidates.find((node) => node.memberId === id)!.faultDomain);
      t.equal(new Set(racks).size, count, 'each in another rack');
      if (among) t.ok(chosen.every((id) => among.includes(id)));
    }
    t.end();
  });
}

t.test('placement follows free space', (t) => {
  const candidates = ['a:1:900', 'b:2:90', 'c:3:10'].map(candidateOf);
  const random = seededRandom(7);
  const counts: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let round = 0; round < 10_000; round++) {
    const [id] = choosePlacement({ candidates, replicaCount: 1, fraction: () => random.fraction() });
    counts[id!]! += 1;
  }
  t.ok(Math.abs(counts.a! - 9000) < 200, `${counts.a}`);
  t.ok(Math.abs(counts.b! - 900) < 150, `${counts.b}`);
  t.ok(Math.abs(counts.c! - 100) < 50, `${counts.c}`);
  t.end();
});
