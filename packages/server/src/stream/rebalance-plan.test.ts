import t from 'tap';
import { extentId, faultDomain, memberId } from '../api/index.js';
import { planRebalance } from './rebalance-plan.js';

interface Row {
  readonly name: string;
  /** `name rack used`, of 1000 bytes each. */
  readonly nodes: readonly string[];
  /** Replicas of extents 1, 2, … of 20 bytes each. */
  readonly extents: readonly string[];
  readonly movesMax?: number;
  readonly expected: readonly string[];
}

const EVEN = ['a 1 300', 'b 2 300', 'c 3 310'];

const rows: readonly Row[] = [
  { name: 'nobody', nodes: [], extents: [], expected: [] },
  { name: 'balanced', nodes: EVEN, extents: ['a b c', 'a b'], expected: [] },
  { name: 'a new node', nodes: [...EVEN, 'd 4 0'], extents: ['a b c', 'b c'], expected: ['1 c d', '2 b d'] },
  { name: 'bounded', nodes: [...EVEN, 'd 4 0'], extents: ['a b c', 'b c'], movesMax: 1, expected: ['1 c d'] },
  {
    name: 'never two in a rack',
    nodes: ['a 1 300', 'b 2 350', 'c 3 310', 'd 1 0'],
    extents: ['a b', 'b c'],
    expected: ['2 b d']
  },
  { name: 'within the rack', nodes: ['a 1 600', 'd 1 0'], extents: ['a'], expected: ['1 a d'] },
  {
    name: 'stops when it is balanced',
    nodes: ['a 1 200', 'd 2 0'],
    extents: ['a', 'a', 'a', 'a', 'a', 'a'],
    expected: ['1 a d', '2 a d', '3 a d']
  },
  { name: 'not what is there already', nodes: ['a 1 600', 'd 2 0'], extents: ['a d'], expected: [] },
  { name: 'members that are not nodes stay', nodes: ['a 1 600', 'd 2 0'], extents: ['x y'], expected: [] }
];

for (const { name, nodes, extents, movesMax = 9, expected } of rows) {
  t.test(`rebalance plan: ${name}`, (t) => {
    const moves = planRebalance({
      nodes: nodes.map((text) => {
        const [id, rack, used] = text.split(' ') as [string, string, string];
        const freeBytes = 1000 - Number(used);
        return { memberId: memberId(id), faultDomain: faultDomain(rack), totalBytes: 1000, freeBytes };
      }),
      extents: extents.map((replicas, index) => ({
        extentId: extentId(index + 1),
        replicas: replicas.split(' ').map(memberId),
        length: 20
      })),
      movesMax
    });
    t.same(
      moves.map((move) => `${move.extentId} ${move.from} ${move.to}`),
      expected
    );
    t.end();
  });
}
