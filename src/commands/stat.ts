import type { StoreClient } from '@stampede/client';
import { defineCommand } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { bucketDetails, objectDetails } from '../describe-object.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { findInStore } from '../store-lookup.js';
import { type BucketPath, formatStorePath, parseInBucket } from '../store-path.js';

export const stat = defineCommand({
  name: 'stat',
  parameters: '<path...>',
  summary: 'show what the store knows of an object, a directory or a bucket',
  options: { json: jsonOption('one JSON object a line'), ...connectionOptions },
  example: 'stat st:drive/docs/README.md',
  async run(context, texts, options) {
    const { output } = context;
    const paths = texts.map((text) => parseInBucket(text, 'stat'));
    const store = await context.store(options);
    for (const [index, path] of paths.entries()) {
      const details = await detailsOf(context, store, path);
      if (options.json) {
        await output.json(details);
        continue;
      }
      if (index > 0) await output.line('');
      await output.table(Object.entries(details).map(([name, field]) => [name, fieldText(context, field)]));
    }
  }
});

async function detailsOf(
  { signal }: CommandContext,
  store: StoreClient,
  path: BucketPath
): Promise<Readonly<Record<string, unknown>>> {
  const { bucket, key } = path;
  if (key === '')
    return { type: 'bucket', ...bucketDetails(await store.buckets.head({ bucket }, { signal })) };
  const found = await findInStore(store, path, { prefer: 'object', signal });
  if (found.type === 'object') return objectDetails(found.head);
  const usage = await store.objects.usage({ bucket, prefix: found.prefix }, { signal });
  // A marker has no bytes of its own; what the directory holds is in its usage.
  const { size: _size, ...marker } = found.head ? objectDetails(found.head) : {};
  const { prefix } = found;
  return {
    ...marker,
    type: 'directory',
    path: formatStorePath(bucket, prefix),
    bucket,
    key: prefix,
    ...usage
  };
}

function fieldText({ output }: CommandContext, field: unknown): string {
  return output.name(typeof field === 'object' ? JSON.stringify(field) : String(field));
}
