// `npm run bench [-- name …]`: runs bench/*.bench.ts one after the other; each writes bench/results/<name>.json.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

await setUp();
const wanted = process.argv.slice(2);
const all = readdirSync(join(ROOT, 'bench'))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length));
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark named ${unknown.join(', ')}; there are: ${all.join(', ')}`);
  process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : all) {
  console.log(`\n== ${name}`);
  // Benchmarks measure what users run: the built packages, not sources through a loader.
  const { status } = spawnSync(process.execPath, ['--import=tsx', join(ROOT, 'bench', `${name}.bench.ts`)], {
    cwd: ROOT,
    stdio: 'inherit'
  });
  if (status !== 0) process.exit(status ?? 1);
}
spawnSync(process.execPath, [join(ROOT, 'scripts/bench-report.mjs')], { cwd: ROOT, stdio: 'inherit' });
