// `npm run check`: format, lint, types, unit tests and tidy; for every commit.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

await setUp({ build: 'all' });
const steps = [
  ['format and lint', [join(ROOT, 'node_modules/@biomejs/biome/bin/biome'), 'check', '.']],
  ['unit tests and tidy', [join(ROOT, 'scripts/test.mjs'), 'packages', 'src', 'test/tidy.test.ts']]
];
for (const [name, args] of steps) {
  console.error(`\n${name}`);
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
