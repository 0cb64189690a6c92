import type { ListResult, ObjectHead, StatResult, StoreCalls } from '@stampede/client';
import { formatComponent } from './path.js';
import type { Target } from './target.js';

/** One name in a directory and what it stands for. */
export interface DirectoryEntry {
  readonly name: string;
  readonly target: Target;
  readonly stat: Exclude<StatResult, { readonly type: 'none' }>;
}

export interface ListDirectoryOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  /** The keys of the directory start with it; '' or ending in a slash. */
  readonly prefix: string;
}

/** The entries of a directory, a page at a time, so that a directory of any size can be listed. */
export async function* listDirectory(options: ListDirectoryOptions): AsyncGenerator<DirectoryEntry[]> {
  const { store, bucket, prefix } = options;
  /** Files whose name may yet turn out to be a directory's as well: `a` before `a-b` before `a/`. */
  let waiting: ObjectHead[] = [];
  let continuationToken: string | undefined;
  do {
    const page: ListResult = await store.objects.list({
      bucket,
      prefix,
      delimiter: '/',
      ...(continuationToken !== undefined && { continuationToken })
    });
    const names = new Set(page.commonPrefixes.map((common) => common.prefix.slice(prefix.length, -1)));
    const last = [page.objects.at(-1)?.key, page.commonPrefixes.at(-1)?.prefix];
    const entries = page.commonPrefixes.map((common) => directoryEntry(common, prefix));
    const undecided: ObjectHead[] = [];
    for (const head of [...waiting, ...page.objects]) {
      if (page.isTruncated && last.some((key) => key !== undefined && mayComeLater(head.key, key)))
        undecided.push(head);
      else entries.push(...fileEntry(head, prefix, names));
    }
    // What is still undecided but already known to be a directory's name is decided.
    waiting = [];
    for (const head of undecided) {
      if (names.has(head.key.slice(prefix.length))) entries.push(...fileEntry(head, prefix, names));
      else waiting.push(head);
    }
    yield entries;
    continuationToken = page.continuationToken;
  } while (continuationToken !== undefined);
  if (waiting.length > 0) yield waiting.flatMap((head) => fileEntry(head, prefix, new Set()));
}

/** Whether `key/` may still come in a listing that has reached `last`. */
function mayComeLater(key: string, last: string): boolean {
  return last.startsWith(key) && (last.length === key.length || last[key.length]! < '/');
}

function directoryEntry(common: ListResult['commonPrefixes'][number], prefix: string): DirectoryEntry {
  const key = common.prefix.slice(0, -1);
  return {
    name: formatComponent({ type: 'plain', name: key.slice(prefix.length) }),
    target: { key, form: 'any' },
    stat: { type: 'directory', ...(common.head && { head: common.head }) }
  };
}

function fileEntry(head: ObjectHead, prefix: string, directories: ReadonlySet<string>): DirectoryEntry[] {
  const name = head.key.slice(prefix.length);
  // The marker of the directory itself; one with bytes is a file nobody would see otherwise.
  if (name === '' && head.size === 0) return [];
  const stat = { type: 'object', head } as const;
  if (name === '')
    return [{ name: formatComponent({ type: 'marker' }), target: { key: head.key, form: 'file' }, stat }];
  const isBeside = directories.has(name);
  return [
    {
      name: formatComponent({ type: isBeside ? 'file' : 'plain', name }),
      target: { key: head.key, form: isBeside ? 'file' : 'any' },
      stat
    }
  ];
}
