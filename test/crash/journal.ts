import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { contentOf, sizeOf } from './content.mjs';

/* What the files of `writer.mjs` may hold after it was interrupted, by the journal it wrote. */

/** What a file may hold: absent, or these bytes. */
export type Content = Buffer | undefined;
interface JournalLine {
  readonly begin?: 'overwrite' | 'replace' | 'append' | 'delete';
  readonly file: number;
  readonly version: number;
  readonly error?: string;
}

export interface DifferencesOptions {
  readonly drive: string;
  readonly fileCount: number;
  readonly possible: ReadonlyMap<number, readonly Content[]>;
  readonly expected: Map<number, Content>;
}

/** What each file may hold after the journal, given what it held before. Only the last operation may be half known. */
export function outcomes(
  before: ReadonlyMap<number, Content>,
  journal: string
): { possible: Map<number, Content[]>; errors: string[]; count: number } {
  const possible = new Map<number, Content[]>([...before].map(([file, content]) => [file, [content]]));
  const errors: string[] = [];
  let count = 0;
  const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
  let begun: JournalLine | undefined;
  for (const text of lines) {
    const line = JSON.parse(text) as JournalLine;
    if (line.error) errors.push(line.error);
    else if (line.begin) begun = line;
    else if (begun) {
      possible.set(begun.file, [after(begun, possible.get(begun.file)?.[0])]);
      begun = undefined;
      count += 1;
    }
  }
  if (begun)
    possible.set(begun.file, [
      possible.get(begun.file)?.[0],
      ...halfway(begun, possible.get(begun.file)?.[0])
    ]);
  return { possible, errors, count };
}

function after({ begin, file, version }: JournalLine, before: Content): Content {
  if (begin === 'delete') return undefined;
  const content = contentOf(file, version);
  return begin === 'append'
    ? Buffer.concat([before ?? Buffer.alloc(0), content.subarray(0, Math.min(sizeOf(file, version), 20_000))])
    : content;
}

/** An append may create the file in one step and fill it in the next. */
function halfway(line: JournalLine, before: Content): Content[] {
  return line.begin === 'append' && before === undefined
    ? [Buffer.alloc(0), after(line, before)]
    : [after(line, before)];
}

/**
 * Reads every file of a writer's drive and says which hold something else than they may; `expected` is what they hold now.
 */
export async function differences({
  drive,
  fileCount,
  possible,
  expected
}: DifferencesOptions): Promise<string[]> {
  const wrong: string[] = [];
  for (let file = 0; file < fileCount; file++) {
    const found = await contentAt(join(drive, `dir-${file % 7}`, `file-${file}`));
    const allowed = possible.get(file) ?? [undefined];
    if (!allowed.some((content) => isSame(content, found)))
      wrong.push(`file ${file}: ${describe(found)} is none of ${allowed.map(describe).join(', ')}`);
    expected.set(file, found);
  }
  return wrong;
}

async function contentAt(path: string): Promise<Content> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isSame(a: Content, b: Content): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

function describe(content: Content): string {
  return content === undefined
    ? 'absent'
    : `${content.length} bytes from ${content.subarray(0, 4).toString('hex')}`;
}
