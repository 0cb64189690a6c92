import t from 'tap';
import { faultDomain, type MemberId, memberId } from '../api/index.js';
import { goodCount, type PlanMember, planRepair, type RepairQuery } from './repair-plan.js';

interface Row {
  readonly name: string;
  /** `name` then `?` = unconfirmed, `!` = damaged. */
  readonly replicas: string;
  readonly expected: readonly string[];
  readonly good: number;
  readonly failed?: readonly string[];
  readonly wantedCount?: number;
}

/** `name rack`, then `dead`, `suspect`, `draining`. */
const MEMBERS = [
  'a 1',
  'b 2',
  'c 3',
  'd 4',
  'a2 1',
  'slow 5 suspect',
  'dead 6 dead',
  'gone 7 dead',
  'old 8 draining',
  'older 9 draining'
];

const members = new Map<MemberId, PlanMember>(
  MEMBERS.map((text) => {
    const [name, rack, state = ''] = text.split(' ') as [string, string, string?];
    const liveness = state === 'dead' || state === 'suspect' ? state : 'up';
    const duty = state === 'draining' ? state : 'active';
    return [memberId(name), { faultDomain: faultDomain(rack), liveness, duty }];
  })
);

const rows: readonly Row[] = [
  { name: 'all is well', replicas: 'a b c', expected: [], good: 3 },
  { name: 'a suspect is waited for', replicas: 'a b slow', expected: [], good: 3 },
  { name: 'one that nobody knows is waited for', replicas: 'a b who', expected: [], good: 3 },
  { name: 'unconfirmed', replicas: 'a b? c', expected: ['confirm b'], good: 2 },
  { name: 'damaged', replicas: 'a! b c', expected: ['rebuild a'], good: 2 },
  { name: 'damaged and not confirmed', replicas: 'a!? b c?', expected: ['rebuild a', 'confirm c'], good: 1 },
  { name: 'a dead one', replicas: 'a dead c', expected: ['copy for dead not in 1 3'], good: 2 },
  {
    name: 'two dead ones',
    replicas: 'gone dead c',
    expected: ['copy for gone not in 3'],
    good: 1
  },
  { name: 'all dead', replicas: 'dead gone', wantedCount: 2, expected: ['copy for dead not in '], good: 0 },
  { name: 'too few from the start', replicas: 'a b', expected: ['copy not in 1 2'], good: 2 },
  { name: 'too few, one of them dead', replicas: 'a dead', expected: ['copy not in 1'], good: 1 },
  { name: 'draining', replicas: 'a old c', expected: ['copy for old not in 1 3'], good: 3 },
  {
    name: 'the dead go before the draining',
    replicas: 'a old dead',
    expected: ['copy for dead not in 1'],
    good: 2
  },
  {
    name: 'damaged on a draining one',
    replicas: 'a old! c',
    expected: ['rebuild old', 'copy for old not in 1 3'],
    good: 2
  },
  { name: 'two in one rack', replicas: 'a a2 c', expected: ['copy for a2 not in 1 3'], good: 3 },
  { name: 'one too many, dead', replicas: 'a b c dead', expected: ['drop dead'], good: 3 },
  { name: 'one too many, draining', replicas: 'a b c old', expected: ['drop old'], good: 4 },
  {
    name: 'none is dropped for a replica that may be bad',
    replicas: 'a b? c dead',
    expected: ['confirm b'],
    good: 2
  },
  { name: 'more than wanted, all well', replicas: 'a b c d', expected: [], good: 4 },
  {
    name: 'a disk that cannot take it back',
    replicas: 'a! b c',
    failed: ['a'],
    expected: ['copy for a not in 2 3'],
    good: 2
  },
  { name: 'a single replica', replicas: 'a!', wantedCount: 1, expected: ['rebuild a'], good: 0 },
  {
    name: 'a single replica on a draining node',
    replicas: 'old',
    wantedCount: 1,
    expected: ['copy for old not in '],
    good: 1
  }
];

for (const { name, replicas, failed = [], wantedCount = 3, expected, good } of rows) {
  t.test(`repair plan: ${name}`, (t) => {
    const words = replicas.split(' ');
    const ids = (mark: string) =>
      words.filter((word) => word.includes(mark)).map((word) => memberId(word.replace(/[!?]/g, '')));
    const query: RepairQuery = {
      record: { replicas: ids(''), unconfirmed: ids('?'), damaged: ids('!') },
      wantedCount,
      findMember: (id) => members.get(id),
      failed: new Set(failed.map(memberId))
    };
    const steps = planRepair(query).map((step) => {
      if (step.type !== 'copy') return `${step.type} ${step.memberId}`;
      return `copy${step.leaving ? ` for ${step.leaving}` : ''} not in ${step.taken.join(' ')}`;
    });
    t.same(steps, expected);
    t.equal(goodCount(query), good);
    t.end();
  });
}
