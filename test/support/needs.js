import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/* Programs that tests run and a machine may not have. */
const run = promisify(execFile);
/** Which of these are not installed, or false: for tap's `skip`. Where everything must be there (`MISSING=fail`) it throws. */
export async function missingOf(programs) {
  const found = await Promise.all(programs.map(isInstalled));
  const missing = programs.filter((_, index) => !found[index]);
  if (missing.length === 0) return false;
  const message = `not installed: ${missing.join(', ')}`;
  if (process.env['MISSING'] === 'fail') throw new Error(`${message}; see .ci/run for the packages`);
  return message;
}
async function isInstalled(program) {
  return run('which', [program]).then(
    () => true,
    () => false
  );
}
//# sourceMappingURL=needs.js.map
