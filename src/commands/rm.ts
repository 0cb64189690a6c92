import { isStoreError, LIMITS, type StoreClient } from '@stampede/client';
import { defineCommand, flag } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { Outcome } from '../copy/outcome.js';
import { connectionOptions, jsonOption, recursiveOption } from '../shared-options.js';
import { lookUp } from '../store-lookup.js';
import { type BucketPath, formatStorePath, parseInBucket } from '../store-path.js';
import { CommandError, UsageError } from '../usage-error.js';

export const rm = defineCommand({
  name: 'rm',
  parameters: '<path...>',
  summary: 'delete objects, or with -r directories and everything in them',
  details:
    'A directory is deleted in one step: whoever lists it sees all of it or nothing.\n' +
    '"rm -r st:BUCKET/" empties a bucket; "bucket rm BUCKET" then removes it.',
  options: {
    recursive: recursiveOption('also directories, with everything in them'),
    force: flag('-f, --force', 'what is not there is no error'),
    json: jsonOption('how many objects were deleted, as JSON'),
    ...connectionOptions
  },
  example: 'rm -r st:drive/old/',
  async run(context, texts, options) {
    const { output } = context;
    const paths = texts.map((text) => parseInBucket(text, 'rm'));
    for (const { key, text } of paths)
      if (key === '' && !options.recursive)
        throw new UsageError(
          `${text} is a bucket; "rm -r" deletes everything in it, "bucket rm" an empty one`
        );
    const store = await context.store(options);
    const outcome = new Outcome((text) => output.note(text));
    let objectCount = 0;
    for (const path of paths) {
      using _progress = output.progress({ action: `deleting ${path.text}`, unit: 'objects' });
      try {
        objectCount += await remove(context, store, path, options);
        outcome.done(0);
      } catch (error) {
        outcome.failed(path.text, error);
      }
    }
    if (options.json) await output.json({ objectCount, failedCount: outcome.failedCount });
    outcome.finish('deleted');
  }
});

/** @returns How many objects it deleted. */
async function remove(
  { signal }: CommandContext,
  store: StoreClient,
  path: BucketPath,
  { recursive, force }: { readonly recursive: boolean; readonly force: boolean }
): Promise<number> {
  const { bucket, key } = path;
  const found = await lookUp(store, path, { prefer: recursive ? 'directory' : 'object', signal });
  if (found.type === 'none') {
    if (force) return 0;
    throw new CommandError('there is no such object');
  }
  if (found.type === 'object') {
    const { deleted } = await store.objects.delete({ bucket, key }, { signal });
    return deleted ? 1 : 0;
  }
  const options = { signal, deadlineMs: LIMITS.callDeadlineMsMax };
  const { prefix } = found;
  if (recursive) return (await store.objects.deletePrefix({ bucket, prefix }, options)).objectCount;
  if (!found.head) throw new CommandError('it is a directory; use rm -r');
  return removeMarker(store, { bucket, key: prefix }, signal);
}

/** A directory without anything in it is its marker, an object of its own. */
async function removeMarker(
  store: StoreClient,
  { bucket, key }: { readonly bucket: string; readonly key: string },
  signal: AbortSignal
): Promise<number> {
  try {
    const { deleted } = await store.objects.delete({ bucket, key, onlyIfPrefixEmpty: true }, { signal });
    return deleted ? 1 : 0;
  } catch (error) {
    if (!isStoreError(error, 'PrefixNotEmpty')) throw error;
    throw new CommandError(`${formatStorePath(bucket, key)} is a directory that is not empty; use rm -r`);
  }
}
