import { PassThrough } from 'node:stream';
import t from 'tap';
import { openProgress, type Progress, type ProgressOptions } from './progress.js';

class Terminal extends PassThrough {
  readonly isTTY = true;
  readonly columns = 80;
  cursorTo(): void {}
  clearLine(): void {}
}

/** What a bar draws when it appears and something is done with it then. */
async function drawn(
  options: Omit<ProgressOptions, 'onShow'>,
  use: (bar: Progress) => void
): Promise<string> {
  const terminal = new Terminal();
  // The bar alone keeps no process alive.
  const alive = setInterval(() => undefined, 1000);
  await new Promise<void>((resolve) => {
    const progress = openProgress(terminal, {
      ...options,
      shownAfterMs: 0,
      onShow(bar) {
        use(bar);
        progress[Symbol.dispose]();
        resolve();
      }
    });
  });
  clearInterval(alive);
  return String(terminal.read());
}

t.test('nothing is shown in a pipe, nor for what is over soon', async (t) => {
  for (const stream of [new PassThrough(), new Terminal()]) {
    {
      using progress = openProgress(stream, { action: 'copying', unit: 'bytes' });
      progress.expect(10);
      progress.advance(5);
    }
    t.equal(stream.read(), null);
  }
});

t.test('a bar shows how much of how much, and asks for the total when it appears', async (t) => {
  const text = await drawn({ action: 'copying', unit: 'bytes' }, (bar) => {
    bar.expect(2048);
    bar.advance(1024);
  });
  t.match(text, /copying .* 50% of 2\.00 KiB/);
});

t.test('without a total it shows what is done', async (t) => {
  const text = await drawn({ action: 'deleting', unit: 'objects' }, (bar) => bar.advance(3));
  t.match(text, /deleting …/);
  t.match(text, /deleting 3 objects/);
});
