import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Environment } from './config.js';

const NAME_LENGTH_MAX = 200;

export interface DaemonFiles {
  readonly pidFile: string;
  readonly logFile: string;
}

/** Where a drive in the background keeps its files unless it is told: the system's folders for root, else the user's. */
export function daemonFiles(
  directory: string,
  {
    stateDirectory,
    isRoot
  }: { readonly stateDirectory: Environment['stateDirectory']; readonly isRoot: boolean }
): DaemonFiles {
  const name = fileNameOf(directory);
  const [run, log] = isRoot ? ['/run/stampede', '/var/log/stampede'] : [stateDirectory, stateDirectory];
  return { pidFile: join(run!, `${name}.pid`), logFile: join(log!, `${name}.log`) };
}

/** `/mnt/photos` becomes `mnt-photos`; no two directories have the same name. */
function fileNameOf(directory: string): string {
  const components = directory.split('/').filter((component) => component !== '');
  const name = components.map((one) => encodeURIComponent(one).replaceAll('-', '%2D')).join('-');
  if (name.length <= NAME_LENGTH_MAX) return name;
  return `${name.slice(0, NAME_LENGTH_MAX - 17)}-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}
