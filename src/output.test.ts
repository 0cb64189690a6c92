import { PassThrough, Writable } from 'node:stream';
import t from 'tap';
import { Output, OutputClosed, oneLine } from './output.js';

function outputOn(stdout: Writable, stderr: Writable = new PassThrough()) {
  const closed: OutputClosed[] = [];
  const output = new Output({ stdout, stderr, hasColor: false, onClosed: (reason) => closed.push(reason) });
  return { output, closed };
}

t.test('writing waits for a slow reader', async (t) => {
  const stdout = new PassThrough({ highWaterMark: 4 });
  const { output } = outputOn(stdout);
  using _output = output;
  let isDone = false;
  const writing = output.write('more than four').then(() => {
    isDone = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(isDone, false);
  t.equal(String(stdout.read()), 'more than four');
  await writing;
  t.equal(isDone, true);
  t.equal(stdout.listenerCount('close'), new PassThrough().listenerCount('close'));
});

t.test('a reader that is gone ends the command, and is no failure', async (t) => {
  const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
  const { output, closed } = outputOn(new Writable({ write: (_piece, _encoding, done) => done(gone) }));
  await output.write('x').catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(output.write('y'), OutputClosed);
  t.equal(closed.length, 1);
});

t.test('a disk that is full is a failure', async (t) => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const { output, closed } = outputOn(new Writable({ write: (_piece, _encoding, done) => done(full) }));
  await output.write('x').catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(output.write('y'), { code: 'ENOSPC' });
  t.same(closed, []);
});

t.test('notes are one line, whatever is in them', async (t) => {
  const stderr = new PassThrough();
  const { output } = outputOn(new PassThrough(), stderr);
  output.note('a\n  b\u001b[2J\tc');
  t.equal(String(stderr.read()), 'a b\\x1b[2J\\tc\n');
  t.equal(oneLine('\n x \n'), 'x');
});

t.test('names are left as they are in a pipe', async (t) => {
  const { output } = outputOn(new PassThrough());
  t.equal(output.name('a\u001bb'), 'a\u001bb');
});
