// `npm run simulate -- --seed 42`: runs simulated stamps from the sources; see docs/TESTING.md.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './setup.mjs';

const command = join(ROOT, 'packages/server/src/testing/simulation/command.ts');
const options = ['--import=tsx', '--conditions=stampede-source', command, ...process.argv.slice(2)];
const child = spawn(process.execPath, options, { cwd: ROOT, stdio: 'inherit' });
child.on('close', (code) => {
  process.exitCode = code ?? 1;
});
