import type { CacheDisk, ListedFile } from './cache-disk.js';
import { type CacheEntry, CacheIndex } from './cache-index.js';
import { type CacheName, parseCacheName } from './cache-name.js';
import { SINGLE_BYTES_MAX } from './sums.js';

interface Found {
  readonly entry: CacheEntry;
  readonly usedAtMs: number;
}

type Parsed = ListedFile & { readonly parsed: CacheName | undefined };

/** The index of what is in the folder; removes what an interrupted process has left half done. */
export async function scanCache(disk: CacheDisk): Promise<CacheIndex> {
  const found: Found[] = [];
  for await (const batch of disk.list()) {
    const files: Parsed[] = batch.map((file) => ({ ...file, parsed: parseCacheName(file.name) }));
    const sums = new Map<string, Parsed>();
    for (const file of files) if (file.parsed?.type === 'sums') sums.set(file.parsed.id, file);
    for (const file of files) {
      if (file.parsed?.type === 'sums') continue;
      const entry = entryOf(file, sums);
      if (entry) found.push({ entry, usedAtMs: file.usedAtMs });
      else await disk.remove(file.name);
    }
    for (const file of sums.values()) await disk.remove(file.name);
  }
  found.sort((a, b) => a.usedAtMs - b.usedAtMs);
  const index = new CacheIndex();
  for (const { entry } of found) index.add(entry);
  return index;
}

/** Takes the checksums of the file from `sums`; undefined for what is of no use. */
function entryOf(
  { parsed, sizeBytes, usedBytes }: Parsed,
  sums: Map<string, Parsed>
): CacheEntry | undefined {
  if (parsed?.type === 'single') {
    if (sizeBytes === 0 || sizeBytes > SINGLE_BYTES_MAX) return undefined;
    return { id: parsed.id, checksum: parsed.checksum, sizeBytes, usedBytes, isTrusted: false };
  }
  const its = parsed && sums.get(parsed.id);
  if (!parsed || !its) return undefined;
  sums.delete(parsed.id);
  return {
    id: parsed.id,
    checksum: undefined,
    sizeBytes,
    usedBytes: usedBytes + its.usedBytes,
    isTrusted: false
  };
}
