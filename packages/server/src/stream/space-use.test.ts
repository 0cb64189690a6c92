import t from 'tap';
import { firstToEnd, isRoomFor, roomOf, type SpaceUse } from './space-use.js';

t.test('what gives space back is taken longest', async (t) => {
  const uses = ['bytes', 'changes', 'frees'] as const;
  for (const [room, taken] of [
    ['bytes', uses],
    ['changes', ['changes', 'frees']],
    ['frees', ['frees']],
    ['none', []]
  ] as const) {
    t.same(
      uses.filter((use) => isRoomFor(room, use)),
      taken,
      room
    );
    t.equal(
      roomOf((use) => (taken as readonly SpaceUse[]).includes(use)),
      room
    );
  }
});

t.test('of several uses the one that must end first counts', async (t) => {
  t.equal(firstToEnd(['frees', 'bytes', 'changes']), 'bytes');
  t.equal(firstToEnd(['frees', 'changes']), 'changes');
  t.equal(firstToEnd(['frees']), 'frees');
});
