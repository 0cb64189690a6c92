import t from 'tap';
import { LinearizabilityMonitor, type OpenCall } from './linearizability-monitor.js';
import type { ModelAnswer, ModelCall } from './store-model.js';

const put = (key: string, token: number): ModelCall => ({ type: 'put', key, token, length: 10 });
const append = (key: string, token: number): ModelCall => ({ type: 'append', key, token, length: 10 });
const head = (key: string): ModelCall => ({ type: 'head', key });

/** Calls begin and end by their place in the list; an end with no answer is a call that was given up. */
type Step =
  | readonly ['begin', name: string, call: ModelCall]
  | readonly ['end', name: string, answer: ModelAnswer | undefined];

const HISTORIES: readonly {
  readonly name: string;
  readonly isGood: boolean;
  readonly steps: readonly Step[];
}[] = [
  {
    name: 'one call after the other',
    isGood: true,
    steps: [
      ['begin', '1', put('a', 1)],
      ['end', '1', 1],
      ['begin', '2', head('a')],
      ['end', '2', '1 10']
    ]
  },
  {
    name: 'two changes at once in either order',
    isGood: true,
    steps: [
      ['begin', '1', put('a', 1)],
      ['begin', '2', append('a', 2)],
      ['end', '2', 1],
      ['end', '1', 2],
      ['begin', '3', head('a')],
      ['end', '3', '2 10']
    ]
  },
  {
    name: 'a stale read',
    isGood: false,
    steps: [
      ['begin', '1', put('a', 1)],
      ['end', '1', 1],
      ['begin', '2', put('a', 2)],
      ['end', '2', 2],
      ['begin', '3', head('a')],
      ['end', '3', '1 10']
    ]
  },
  {
    name: 'a change that was made twice',
    isGood: false,
    steps: [
      ['begin', '1', append('a', 1)],
      ['end', '1', 1],
      ['begin', '2', head('a')],
      ['end', '2', '2 20']
    ]
  },
  {
    name: 'a call in doubt that happened later',
    isGood: true,
    steps: [
      ['begin', '1', put('a', 1)],
      ['end', '1', undefined],
      ['begin', '2', head('a')],
      ['end', '2', 'NoSuchKey'],
      ['begin', '3', head('a')],
      ['end', '3', '1 10']
    ]
  },
  {
    name: 'a call in doubt that happened and then did not',
    isGood: false,
    steps: [
      ['begin', '1', put('a', 1)],
      ['end', '1', undefined],
      ['begin', '2', head('a')],
      ['end', '2', '1 10'],
      ['begin', '3', head('a')],
      ['end', '3', 'NoSuchKey']
    ]
  },
  {
    name: 'a read that began before a change and saw the time before it',
    isGood: true,
    steps: [
      ['begin', 'read', head('a')],
      ['begin', '1', put('a', 1)],
      ['end', '1', 1],
      ['end', 'read', 'NoSuchKey']
    ]
  },
  {
    name: 'half a rename in a listing',
    isGood: false,
    steps: [
      ['begin', '1', put('d/x', 1)],
      ['end', '1', 1],
      ['begin', '2', put('d/y', 1)],
      ['end', '2', 1],
      ['begin', '3', { type: 'renamePrefix', prefix: 'd/', to: 'e/' }],
      ['begin', '4', { type: 'list', prefix: '' }],
      ['end', '4', 'd/y 1, e/x 1']
    ]
  }
];

t.test('accepts what an order explains and nothing else', (t) => {
  for (const { name, isGood, steps } of HISTORIES) {
    const monitor = new LinearizabilityMonitor();
    const open = new Map<string, OpenCall>();
    let wrong: string | undefined;
    for (const step of steps) {
      if (step[0] === 'begin') open.set(step[1], monitor.begin(step[2], 0));
      else if (step[2] === undefined) monitor.giveUp(open.get(step[1])!);
      else wrong ??= monitor.end(open.get(step[1])!, step[2]);
    }
    t.equal(wrong === undefined, isGood, name);
  }
  t.end();
});
