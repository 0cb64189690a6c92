import { randomUUID } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CommandError } from '../usage-error.js';

const COMPONENT_BYTES_MAX = 255;
const VERIFIED_MAX = 10_000;

/**
 * A local directory that a tree from the store is written into. Nothing is ever written outside of it: keys that are
 * no path below it are refused, and so is every way through a link.
 */
export class LocalTarget {
  readonly root: string;
  readonly #verified = new Set<string>();

  constructor(root: string) {
    this.root = root;
  }

  /** Where an entry goes; its directory exists afterwards. */
  async placeOf(path: string): Promise<string> {
    if (path === '') return this.root;
    checkPath(path);
    const end = path.lastIndexOf('/');
    await this.ensureDirectory(end < 0 ? '' : path.slice(0, end));
    return join(this.root, path);
  }

  /** Creates a directory below the root, and those above it. */
  async ensureDirectory(path: string): Promise<string> {
    const place = path === '' ? this.root : join(this.root, path);
    if (this.#verified.has(path)) return place;
    if (path === '') {
      await mkdir(this.root, { recursive: true });
    } else {
      checkPath(path);
      const end = path.lastIndexOf('/');
      await this.ensureDirectory(end < 0 ? '' : path.slice(0, end));
      await createDirectory(place);
    }
    if (this.#verified.size >= VERIFIED_MAX) this.#verified.clear();
    this.#verified.add(path);
    return place;
  }
}

/** A name in the directory of `place` that nobody uses; files get their own name once they are whole. */
export function temporaryName(place: string): string {
  return join(dirname(place), `.stampede-${randomUUID().slice(0, 13)}.part`);
}

async function createDirectory(place: string): Promise<void> {
  try {
    await mkdir(place);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const found = await lstat(place);
    if (found.isDirectory()) return;
    const what = found.isSymbolicLink() ? 'a link' : 'a file';
    throw new CommandError(`${place} is ${what}, where a directory is needed; remove it first`);
  }
}

function checkPath(path: string): void {
  const wrong = path
    .split('/')
    .find(
      (name) =>
        name === '' ||
        name === '.' ||
        name === '..' ||
        name.includes('\0') ||
        Buffer.byteLength(name) > COMPONENT_BYTES_MAX
    );
  if (wrong !== undefined)
    throw new CommandError(
      `its key cannot be a local path ("${wrong.slice(0, 40)}" is no file name); copy it alone under another name`
    );
}
