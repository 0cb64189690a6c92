import t from 'tap';
import { decideSeal, type ReplicaAnswer, type SealDecision } from './seal-decision.js';

const frozen = (length: number): ReplicaAnswer => ({ state: 'frozen', length });
const torn = (length: number): ReplicaAnswer => ({ state: 'frozen', length, isUncertain: true });
const damaged = (structuralLength: number): ReplicaAnswer => ({ state: 'damaged', structuralLength });
const sealed = (length: number): ReplicaAnswer => ({ state: 'sealed', length });
const unreachable: ReplicaAnswer = { state: 'unreachable' };
const absent: ReplicaAnswer = { state: 'absent' };
const at = (length: number): SealDecision => ({ result: 'sealed', length, isDamaged: false });
const damagedAt = (length: number): SealDecision => ({ result: 'sealed', length, isDamaged: true });
const undecided: SealDecision = { result: 'undecided' };

const rows: { name: string; answers: ReplicaAnswer[]; acknowledgedBy?: number; decision: SealDecision }[] = [
  { name: 'all agree', answers: [frozen(9), frozen(9), frozen(9)], decision: at(9) },
  { name: 'the longest counts', answers: [frozen(7), frozen(9), frozen(8)], decision: at(9) },
  { name: 'one is enough when all acknowledge', answers: [unreachable, frozen(7), absent], decision: at(7) },
  { name: 'damage is not a shorter length', answers: [damaged(3), frozen(9)], decision: at(9) },
  { name: 'a longer damaged one does not count', answers: [damaged(20), frozen(9)], decision: at(9) },
  { name: 'nobody answered', answers: [unreachable, unreachable], decision: undecided },
  { name: 'no file is left', answers: [absent], decision: undecided },
  { name: 'damage waits for who may know better', answers: [damaged(9), unreachable], decision: undecided },
  { name: 'all are damaged', answers: [damaged(9), damaged(12)], decision: damagedAt(12) },
  { name: 'the only one is damaged', answers: [damaged(12)], decision: damagedAt(12) },
  { name: 'damaged, and the others lost', answers: [damaged(9), absent], decision: damagedAt(9) },
  { name: 'a decision is adopted', answers: [frozen(12), sealed(8), damaged(9)], decision: at(8) },
  {
    name: 'what seems torn waits for another',
    answers: [torn(7), unreachable, unreachable],
    decision: undecided
  },
  { name: 'a certain one is enough', answers: [torn(7), frozen(9), unreachable], decision: at(9) },
  { name: 'the longest counts, torn or not', answers: [torn(9), frozen(7), unreachable], decision: at(9) },
  { name: 'two are torn', answers: [torn(7), torn(9), unreachable], decision: at(9) },
  { name: 'torn, and all the others lost', answers: [torn(7), absent, absent], decision: at(7) },
  { name: 'the only one is torn', answers: [torn(7)], decision: at(7) },
  {
    name: 'quorum needs two',
    answers: [frozen(9), unreachable, unreachable],
    acknowledgedBy: 2,
    decision: undecided
  },
  {
    name: 'quorum has two',
    answers: [frozen(9), frozen(7), unreachable],
    acknowledgedBy: 2,
    decision: at(9)
  },
  {
    name: 'one of three needs all',
    answers: [frozen(9), frozen(7), unreachable],
    acknowledgedBy: 1,
    decision: undecided
  }
];

for (const { name, answers, acknowledgedBy = answers.length, decision } of rows) {
  t.test(`seal: ${name}`, (t) => {
    t.same(decideSeal({ answers, acknowledgedBy }), decision);
    t.end();
  });
}
