import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** A folder with a file system of its own in memory, so that how full it is depends on nothing else. */
export class SmallDisk implements Disposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Why there cannot be one here, or false. */
  static missing(): string | false {
    return process.getuid?.() === 0 ? false : 'mounting file systems needs root';
  }

  static create(directory: string, bytes: number): SmallDisk {
    mkdirSync(directory, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'stampede-test', directory], {
      stdio: ['ignore', 'ignore', 'pipe']
    });
    return new SmallDisk(directory);
  }

  [Symbol.dispose](): void {
    // Lazily: a process that was just killed may still hold it for a moment.
    spawnSync('umount', ['--lazy', this.directory]);
  }
}
