import { constants } from 'node:fs';
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectories } from './data-directory.js';
import { CommandError } from './usage-error.js';

/** A file that names this process while it runs. One that a crashed process left is overwritten. */
export class PidFile {
  readonly #path: string;
  readonly #pid: number;

  private constructor(path: string, pid: number) {
    this.#path = path;
    this.#pid = pid;
  }

  /** Makes its folder, and fails where it could not be written; nothing is written yet. */
  static async prepare(path: string, pid: number): Promise<PidFile> {
    try {
      await makeDirectories(dirname(path));
      await access(dirname(path), constants.W_OK);
    } catch (error) {
      throw notWritable(path, error);
    }
    return new PidFile(path, pid);
  }

  async write(): Promise<void> {
    await writeFile(this.#path, `${this.#pid}\n`).catch((error: unknown) => {
      throw notWritable(this.#path, error);
    });
  }

  /** Unless another process has it by now. */
  async remove(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch(() => '');
    if (text.trim() === String(this.#pid)) await rm(this.#path, { force: true });
  }
}

function notWritable(path: string, error: unknown): CommandError {
  const code = (error as NodeJS.ErrnoException).code;
  return new CommandError(`the pid file ${path} cannot be written (${code}); choose another with --pid-file`);
}
