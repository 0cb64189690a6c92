import { join } from 'node:path';
import { runFileCalls } from './file-calls.js';

/** The first call whose answers differ. */
export interface Difference {
  readonly index: number;
  readonly call: string;
  readonly onDrive: string;
  readonly onDisk: string;
}

export interface Sides {
  readonly program: string;
  /** Directories in which each run gets one of its own. */
  readonly drive: string;
  readonly disk: string;
  /** As of `FileCallsOptions`. */
  readonly closesFirst: boolean;
  readonly isUser: boolean;
}

/** Makes the same calls on the drive and on the disk, in directories called `name`. */
export async function findDifference(
  { program, drive, disk, closesFirst, isUser }: Sides,
  name: string,
  script: readonly string[]
): Promise<Difference | undefined> {
  const [onDrive, onDisk] = await Promise.all([
    runFileCalls({ program, directory: join(drive, name), isModel: false, closesFirst, isUser }, script),
    runFileCalls({ program, directory: join(disk, name), isModel: true, closesFirst, isUser }, script)
  ]);
  const count = Math.max(onDrive.length, onDisk.length);
  for (let index = 0; index < count; index++)
    if (onDrive[index] !== onDisk[index])
      return {
        index,
        call: script[index] ?? 'end',
        onDrive: onDrive[index] ?? 'nothing',
        onDisk: onDisk[index] ?? 'nothing'
      };
  return undefined;
}

/**
 * Leaves out calls for as long as a difference stays, larger parts first; the result is short and still fails.
 * `attemptCountMax` bounds the work. Undefined when the whole script fails no more by itself.
 */
export async function shrink(
  script: readonly string[],
  find: (script: readonly string[]) => Promise<Difference | undefined>,
  attemptCountMax = 400
): Promise<{ readonly script: readonly string[]; readonly difference: Difference } | undefined> {
  const first = await find(script);
  if (!first) return undefined;
  let found = { script: script.slice(0, first.index + 1), difference: first };
  let attemptCount = 0;
  for (let length = Math.ceil(found.script.length / 2); length >= 1; length = Math.floor(length / 2)) {
    let wasUseful = false;
    for (let end = found.script.length; end > 0; end -= length) {
      if (++attemptCount > attemptCountMax) return found;
      const shorter = found.script.filter((_, index) => index < end - length || index >= end);
      const difference = await find(shorter);
      if (!difference) continue;
      found = { script: shorter.slice(0, difference.index + 1), difference };
      wasUseful = true;
    }
    if (length === 1 && wasUseful) length = 2;
  }
  return found;
}
