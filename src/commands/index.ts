import type { CommandGroup, CommandSpec } from '../command.js';
import { admin } from './admin.js';
import { bucket } from './bucket.js';
import { cat } from './cat.js';
import { cp } from './cp.js';
import { doctor } from './doctor.js';
import { du } from './du.js';
import { key } from './key.js';
import { ls } from './ls.js';
import { mount } from './mount.js';
import { mv } from './mv.js';
import { rm } from './rm.js';
import { server } from './server.js';
import { stat } from './stat.js';
import { stats } from './stats.js';
import { umount } from './umount.js';
import { up } from './up.js';
import { warmup } from './warmup.js';

/** Every command, in the order of the help. */
export const commands: readonly (CommandSpec | CommandGroup)[] = [
  up,
  server,
  mount,
  umount,
  stats,
  warmup,
  ls,
  cp,
  mv,
  rm,
  cat,
  stat,
  du,
  bucket,
  key,
  admin,
  doctor
];
