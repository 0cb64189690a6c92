import t from 'tap';
import { askMount } from './ask-mount.js';
import { runBounded } from './run-bounded.js';

const LONG_MS = 60_000;

t.test('a program that ends in time is told with what it said', async (t) => {
  const script = 'echo out; echo wrong >&2; exit 5';
  t.same(await runBounded('sh', ['-c', script], { timeoutMs: LONG_MS }), {
    type: 'ended',
    code: 5,
    out: 'out\n',
    complaints: 'wrong\n'
  });
});

t.test('one that is late is left, also while something of it goes on', async (t) => {
  t.same(await runBounded('sh', ['-c', 'sleep 60 & wait'], { timeoutMs: 50 }), { type: 'late' });
});

t.test('one that is not there is missing', async (t) => {
  t.same(await runBounded('/none/such', [], { timeoutMs: LONG_MS }), { type: 'missing' });
});

t.test('who does not want to wait leaves it', async (t) => {
  const abort = new AbortController();
  const left = runBounded('sleep', ['60'], { timeoutMs: LONG_MS, signal: abort.signal });
  abort.abort(new Error('enough'));
  await t.rejects(left, { message: 'enough' });
  await t.rejects(runBounded('sleep', ['60'], { timeoutMs: LONG_MS, signal: abort.signal }), {
    message: 'enough'
  });
});

t.test('a directory answers, or says by an errno why not', async (t) => {
  const directory = t.testdir({ '.stampede': { stats: 'numbers\n' } });
  const asked = { timeoutMs: LONG_MS };
  t.same(await askMount(directory, 'stats', asked), { type: 'answered', text: 'numbers\n' });
  t.same(await askMount(directory, 'space', asked), { type: 'answered', text: '' });
  t.same(await askMount(directory, 'sync', asked), { type: 'answered', text: '' });
  t.same(await askMount(`${directory}/none`, 'sync', asked), { type: 'failed', code: 'ENOENT' });
  t.same(await askMount(directory, 'stats', { timeoutMs: 1 }), { type: 'silent' });
});
