import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type DaemonRequest, startDaemon } from './start-daemon.js';

const LONG_MS = 60_000;
const WAIT = 'setInterval(() => {}, 1000);';
const DEAF = `for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => {});`;

function daemon(folder: string, script: string, request: Partial<DaemonRequest> = {}) {
  const [program, logFile] = [join(folder, 'program.mjs'), join(folder, 'log/daemon.log')];
  writeFileSync(program, script);
  return startDaemon(
    { program, words: ['one'] },
    {
      logFile,
      signal: new AbortController().signal,
      readyMsMax: LONG_MS,
      endMsMax: LONG_MS,
      ...request
    }
  );
}

t.test('one that says that it is ready goes on by itself', async (t) => {
  const started = await daemon(t.testdir(), `process.send('ready'); ${WAIT}`);
  t.equal(started.type, 'ready');
  if (started.type === 'ready') t.ok(process.kill(started.pid, 'SIGKILL'));
});

t.test('one that ends before is told with the last that it said', async (t) => {
  const script = `console.error('stampede: no'); console.error('stampede: it is not there'); process.exit(2);`;
  t.same(await daemon(t.testdir(), script), {
    type: 'failed',
    exitCode: 2,
    message: 'it is not there'
  });
  t.match(await daemon(t.testdir(), 'process.exit(3)'), {
    type: 'failed',
    exitCode: 3,
    message: /it ended with 3; see .*daemon.log/
  });
});

t.test('one that is not ready in time is ended, by force where it must be', async (t) => {
  for (const [script, endMsMax] of [
    [WAIT, LONG_MS],
    [DEAF + WAIT, 50]
  ] as const)
    t.match(await daemon(t.testdir(), script, { readyMsMax: 1000, endMsMax }), {
      type: 'failed',
      exitCode: 1,
      message: /it was not ready within 1 s and was ended; see .*daemon.log/
    });
});

t.test('who does not want to wait ends it', async (t) => {
  const abort = new AbortController();
  const started = daemon(t.testdir(), WAIT, { signal: abort.signal });
  abort.abort();
  t.match(await started, { type: 'failed', exitCode: 1, message: /^interrupted and was ended/ });
});
