// `npm start`: an embedded store in ./.stampede, mounted at ./drive.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureReady, ROOT } from './setup.mjs';

try {
  await ensureReady();
} catch (error) {
  console.error(`stampede: ${error.message}`);
  process.exit(1);
}
const extra = process.argv.slice(2);
const args = [
  join(ROOT, 'dist/src/main.js'),
  'up',
  '--data',
  join(ROOT, '.stampede'),
  '--mount',
  join(ROOT, 'drive'),
  ...extra
];
const child = spawn(process.execPath, args, { stdio: 'inherit' });
// A terminal sends Ctrl-C to the whole group, a supervisor only to us: pass it on and let the child decide when to end.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => process.stdin.isTTY || child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
