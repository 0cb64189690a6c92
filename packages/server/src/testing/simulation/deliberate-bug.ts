import type { Life } from './life.js';
import type { Machine, Outside } from './machine.js';
import type { MetaCore } from './meta-core.js';

export interface BugPlace {
  readonly machine: Machine;
  readonly life: Life;
  readonly core: MetaCore;
}

/** A bug that the simulation must find, put between the roles of a machine and what they touch. */
export interface DeliberateBug {
  readonly name: string;
  readonly wrap: (outside: Outside, place: BugPlace) => Outside;
}
