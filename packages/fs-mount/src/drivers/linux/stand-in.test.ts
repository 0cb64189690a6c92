import t from 'tap';
import type { Attributes } from '../../attributes.js';
import { mayStandIn } from './stand-in.js';

const [READ, EXECUTE] = [0, 0o40];
const OWNER = { uid: 5, gid: 6 };
const [FRIEND, OTHER, ROOT] = [
  { uid: 7, gid: 6 },
  { uid: 8, gid: 9 },
  { uid: 0, gid: 0 }
];

const ROWS = [
  { name: 'everybody reads', mode: 0o100644, asking: OTHER, flags: READ, may: true },
  { name: 'only the owner reads: he', mode: 0o100600, asking: OWNER, flags: READ, may: true },
  { name: 'only the owner reads: others', mode: 0o100600, asking: OTHER, flags: READ, may: false },
  { name: 'only the owner reads: his group', mode: 0o100600, asking: FRIEND, flags: READ, may: false },
  { name: 'only the owner reads: root', mode: 0o100600, asking: ROOT, flags: READ, may: true },
  { name: 'the group reads: one of it', mode: 0o100640, asking: FRIEND, flags: READ, may: true },
  { name: 'the group reads: others', mode: 0o100640, asking: OTHER, flags: READ, may: false },
  { name: 'all but the group read: it', mode: 0o100604, asking: FRIEND, flags: READ, may: false },
  { name: 'all but the group read: maybe it', mode: 0o100604, asking: OTHER, flags: READ, may: false },
  { name: 'all but the owner read: he', mode: 0o100044, asking: OWNER, flags: READ, may: false },
  { name: 'everybody runs it', mode: 0o100711, asking: OTHER, flags: EXECUTE, may: true },
  { name: 'nobody runs it: others', mode: 0o100644, asking: OTHER, flags: EXECUTE, may: false },
  { name: 'nobody runs it: root', mode: 0o100644, asking: ROOT, flags: EXECUTE, may: false },
  { name: 'a symbolic link', mode: 0o120777, asking: ROOT, flags: READ, may: false },
  { name: 'a pipe', mode: 0o010666, asking: OWNER, flags: READ, may: false }
];

t.test('who came late opens a file, where the kernel would let him', (t) => {
  for (const { name, mode, asking, flags, may } of ROWS)
    t.equal(mayStandIn({ ...OWNER, mode } as Attributes, asking, flags), may, name);
  t.end();
});
