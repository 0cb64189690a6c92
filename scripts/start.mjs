// `npm start`: an embedded store in ./.stampede, mounted at ./drive.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

await setUp();
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
// Both is harmless, since signals that arrive together count as one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
