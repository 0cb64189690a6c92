import t from 'tap';
import { livenessOf } from './member-liveness.js';

const rows = [
  { name: 'just heard', silentMs: 0, expected: 'up' },
  { name: 'two beats late', silentMs: 2999, expected: 'up' },
  { name: 'three beats missed', silentMs: 3000, expected: 'suspect' },
  { name: 'almost given up', silentMs: 59_999, expected: 'suspect' },
  { name: 'the grace time is over', silentMs: 60_000, expected: 'dead' },
  { name: 'long gone', silentMs: 1e9, expected: 'dead' },
  { name: 'a grace time shorter than three beats', silentMs: 2999, deadAfterMs: 10, expected: 'up' },
  { name: 'and then', silentMs: 3000, deadAfterMs: 10, expected: 'dead' }
];

for (const { name, silentMs, deadAfterMs = 60_000, expected } of rows) {
  t.test(`liveness: ${name}`, (t) => {
    t.equal(livenessOf({ silentMs, heartbeatMs: 1000, deadAfterMs }), expected);
    t.end();
  });
}
