import t from 'tap';
import { NodeTable } from './node-table.js';

t.test('a name has the same number in every table, and another in every directory', (t) => {
  const [one, other] = [new NodeTable(), new NodeTable()];
  const directory = one.lookup(one.root, 'd');
  t.equal(directory.id, other.lookup(other.root, 'd').id);
  t.equal(one.lookup(directory, 'f').id, other.lookup(other.find(directory.id)!, 'f').id);
  t.not(one.lookup(directory, 'f').id, one.lookup(one.root, 'f').id);
  t.end();
});

t.test('numbers are whole and below 2⁵³', (t) => {
  const table = new NodeTable();
  const ids = Array.from({ length: 5000 }, (_, index) => table.lookup(table.root, `file ${index}`).id);
  t.ok(ids.every((id) => Number.isSafeInteger(id) && id > 1));
  t.equal(new Set(ids).size, ids.length);
  t.end();
});

t.test('a new file under a name whose number is still in use gets another', (t) => {
  const table = new NodeTable();
  const first = table.lookup(table.root, 'a');
  table.move(first, table.root, 'b');
  const second = table.lookup(table.root, 'a');
  t.not(second.id, first.id);
  t.equal(table.pathOf(first), '/b');
  t.equal(table.pathOf(second), '/a');
  t.end();
});

t.test('what is below a renamed directory moves along', (t) => {
  const table = new NodeTable();
  const directory = table.lookup(table.root, 'a');
  const file = table.lookup(directory, 'f');
  t.equal(table.pathOf(file), '/a/f');
  const target = table.lookup(table.root, 't');
  table.move(directory, target, 'b');
  t.equal(table.pathOf(file), '/t/b/f');
  t.end();
});

t.test('two names are exchanged, also of one directory', (t) => {
  const table = new NodeTable();
  const directory = table.lookup(table.root, 'd');
  const [one, other] = [table.lookup(directory, 'x'), table.lookup(table.root, 'y')];
  table.exchange(one, other);
  t.same([table.pathOf(one), table.pathOf(other)], ['/y', '/d/x']);
  const third = table.lookup(table.root, 'z');
  table.exchange(one, third);
  t.same([table.pathOf(one), table.pathOf(third)], ['/z', '/y']);
  t.end();
});

t.test('a node is forgotten when the kernel has forgotten it as often as it was told', (t) => {
  const table = new NodeTable();
  const directory = table.lookup(table.root, 'd');
  const file = table.lookup(directory, 'f');
  table.lookup(directory, 'f');
  table.forget(directory.id, 1);
  t.equal(table.find(directory.id), directory, 'still needed for the path of what is in it');
  table.forget(file.id, 1);
  t.equal(table.find(file.id), file);
  table.forget(file.id, 1);
  t.same([table.find(file.id), table.find(directory.id), table.count], [undefined, undefined, 1]);
  t.end();
});

t.test('a removed file has no path but its alias, and keeps its number until it is forgotten', (t) => {
  const table = new NodeTable();
  const [plain, open] = [table.lookup(table.root, 'p'), table.lookup(table.root, 'o')];
  table.remove(plain);
  table.remove(open, '/\0alias');
  t.throws(() => table.pathOf(plain), { code: 'ENOENT' });
  t.equal(table.pathOf(open), '/\0alias');
  t.not(table.lookup(table.root, 'p').id, plain.id);
  table.forget(plain.id, 1);
  table.forget(open.id, 1);
  t.same([table.find(plain.id), table.find(open.id)], [undefined, undefined]);
  t.end();
});

t.test('what was replaced asks the kernel to look for the name again', (t) => {
  const table = new NodeTable();
  const [replaced, open, other] = ['r', 'o', 'n'].map((name) => table.lookup(table.root, name));
  table.remove(replaced!, undefined, true);
  table.remove(open!, '/\0alias', true);
  table.move(other!, table.root, 'r');
  t.throws(() => table.pathOf(replaced!), { code: 'ESTALE' });
  t.equal(table.pathToOpen(replaced!), '/r');
  t.equal(table.pathOf(open!), '/\0alias');
  t.equal(table.pathToOpen(open!), '/\0alias');
  t.end();
});

t.test('the root is never forgotten, and unknown numbers are refused', (t) => {
  const table = new NodeTable();
  table.forget(table.root.id, 100);
  t.equal(table.get(1), table.root);
  t.throws(() => table.get(2), { code: 'ESTALE' });
  t.end();
});

t.test('a superseded node speaks of the file of its name, wherever that goes', (t) => {
  const table = new NodeTable();
  const first = table.lookup(table.root, 'a');
  table.supersede(first);
  const second = table.lookup(table.root, 'a');
  t.not(second.id, first.id);
  t.equal(second.ino, first.ino, 'programs see one file');
  t.equal(table.idOf(table.root, 'a'), first.ino);
  first.openCount = 1;
  second.openCount = 1;
  t.equal(table.openCountOf(second), 2);
  table.supersede(second);
  const third = table.lookup(table.root, 'a');
  t.equal(table.latest(first), third);
  table.move(third, table.root, 'b');
  t.equal(table.pathOf(first), '/b');
  table.remove(third, '/alias');
  t.equal(table.pathOf(first), '/alias');
  for (const node of [third, second]) table.forget(node.id, 1);
  t.equal(table.count, 4, 'as long as the first is known');
  table.forget(first.id, 1);
  t.equal(table.count, 1);
  t.end();
});

t.test('no other file shows the number of a superseded one', (t) => {
  const table = new NodeTable();
  const first = table.lookup(table.root, 'a');
  table.supersede(first);
  const second = table.lookup(table.root, 'a');
  table.forget(first.id, 1);
  table.move(second, table.root, 'b');
  const other = table.lookup(table.root, 'a');
  t.not(other.ino, second.ino);
  table.forget(other.id, 1);
  table.forget(second.id, 1);
  t.equal(table.lookup(table.root, 'a').ino, first.ino, 'free again');
  t.end();
});
