import type { BucketHead, ListEntry, ObjectHead, StoreClient } from '@stampede/client';
import { defineCommand, flag } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { formatMode, isLink, modifiedAt, secondsOf } from '../copy/file-mode.js';
import { bucketDetails, formatTime, objectSummary } from '../describe-object.js';
import type { Output } from '../output.js';
import { connectionOptions, jsonOption, recursiveOption } from '../shared-options.js';
import { findInStore } from '../store-lookup.js';
import { formatStorePath, parseInStore } from '../store-path.js';

const SIZE_WIDTH = 12;
const UNKNOWN_TIME = '-'.padEnd('2026-01-01 00:00:00'.length);

interface Style {
  readonly isLong: boolean;
  readonly isJson: boolean;
}

export const ls = defineCommand({
  name: 'ls',
  parameters: '[path]',
  summary: 'list buckets, a directory, or with -r everything below it',
  details:
    'Names end in a slash where they are directories. It prints while it reads, however many there are.',
  options: {
    long: flag('-l, --long', 'with mode, size in bytes and time of modification'),
    recursive: recursiveOption('everything below the path, each with its path below it'),
    json: jsonOption('one JSON object a line'),
    ...connectionOptions
  },
  example: 'ls -l st:drive/docs/',
  async run(context, [text = 'st:'], options) {
    const { bucket, key } = parseInStore(text, 'ls');
    const style: Style = { isLong: options.long, isJson: options.json };
    const store = await context.store(options);
    if (bucket === undefined && !options.recursive) return listBuckets(context, store, style);
    const buckets = bucket === undefined ? allBuckets(context, store) : [bucket];
    for await (const name of buckets) {
      const base = bucket === undefined ? `${name}/` : '';
      await listPath(context, store, { bucket: name, key, base, isRecursive: options.recursive, style });
    }
  }
});

async function listBuckets(
  { output, signal }: CommandContext,
  store: StoreClient,
  style: Style
): Promise<void> {
  for await (const head of store.listBuckets({ signal })) {
    if (style.isJson) await output.json(bucketDetails(head));
    else await output.line(bucketLine(output, head, style));
  }
}

async function* allBuckets({ signal }: CommandContext, store: StoreClient): AsyncGenerator<string> {
  for await (const { bucket } of store.listBuckets({ signal })) yield bucket;
}

interface Listing {
  readonly bucket: string;
  readonly key: string;
  /** Stands before each name. */
  readonly base: string;
  readonly isRecursive: boolean;
  readonly style: Style;
}

async function listPath(
  { output, signal }: CommandContext,
  store: StoreClient,
  { bucket, key, base, isRecursive, style }: Listing
): Promise<void> {
  const found = await findInStore(store, { bucket, key }, { prefer: 'directory', signal });
  if (found.type === 'object') return output.line(entryText(output, found, key, style));
  const { prefix } = found;
  const delimiter = isRecursive ? {} : { delimiter: '/' };
  for await (const entry of store.listObjects({ bucket, prefix, signal, ...delimiter })) {
    const path = entry.type === 'object' ? entry.head.key : entry.prefix;
    // The marker of the directory itself; one with bytes is an object that nothing else shows.
    const isItself = path === prefix && entry.type === 'object' && entry.head.size === 0;
    if (isItself) continue;
    const name = `${base}${path.slice(prefix.length) || './'}`;
    await output.line(style.isJson ? entryJson(bucket, entry) : entryText(output, entry, name, style));
  }
}

function entryJson(bucket: string, entry: ListEntry): string {
  if (entry.type === 'object') return JSON.stringify(objectSummary(entry.head));
  const { prefix, head } = entry;
  const { modifiedAt: time, mode } = head ? objectSummary(head) : {};
  return JSON.stringify({
    type: 'directory',
    path: formatStorePath(bucket, prefix),
    bucket,
    key: prefix,
    ...(time !== undefined && { modifiedAt: time }),
    ...(mode !== undefined && { mode })
  });
}

function entryText(output: Output, entry: ListEntry, name: string, style: Style): string {
  const { head } = entry;
  if (style.isJson) return JSON.stringify(objectSummary(head!));
  const isDirectory = entry.type === 'prefix' || (name.endsWith('/') && entry.head.size === 0);
  if (isDirectory) return longLine(style, { type: 'd', head, size: '-' }) + output.directoryName(name);
  if (!isLink(entry.head))
    return longLine(style, { type: '-', head, size: String(entry.head.size) }) + output.name(name);
  const start = longLine(style, { type: 'l', head, size: '-' });
  const target = style.isLong ? ` -> ${output.name(entry.head.attributes.symlinkTarget ?? '')}` : '';
  return `${start}${output.linkName(name)}${target}`;
}

interface LongFields {
  readonly type: 'd' | 'l' | '-';
  readonly head: ObjectHead | undefined;
  readonly size: string;
}

/** What stands before the name with `-l`. */
function longLine({ isLong }: Style, { type, head, size }: LongFields): string {
  if (!isLong) return '';
  const mode = head?.attributes.mode;
  const modeText = mode === undefined ? type : type + formatMode(mode).slice(1);
  const time = head ? formatTime(secondsOf(modifiedAt(head)) * 1000) : UNKNOWN_TIME;
  return `${modeText.padEnd(10)} ${size.padStart(SIZE_WIDTH)} ${time} `;
}

function bucketLine(output: Output, { bucket, createdAtMs, usage }: BucketHead, { isLong }: Style): string {
  const name = output.directoryName(`${bucket}/`);
  if (!isLong) return name;
  return `${'b'.padEnd(10)} ${String(usage.bytes).padStart(SIZE_WIDTH)} ${formatTime(createdAtMs)} ${name}`;
}
