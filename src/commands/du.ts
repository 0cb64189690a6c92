import type { StoreClient, UsageResult } from '@stampede/client';
import { defineCommand, flag } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';
import { findInStore } from '../store-lookup.js';
import { formatStorePath, parseInStore, type StorePath } from '../store-path.js';

interface Usage {
  readonly path: string;
  readonly objectCount: number;
  readonly bytes: number;
}

export const du = defineCommand({
  name: 'du',
  parameters: '[path...]',
  summary: 'show how many objects there are below a path, and their bytes',
  details: 'Without a path: of each bucket.',
  options: {
    bytes: flag('-b, --bytes', 'exact sizes'),
    json: jsonOption('one JSON object a line'),
    ...connectionOptions
  },
  example: 'du st:drive/docs/ st:photos',
  async run(context, texts, options) {
    const { output } = context;
    const paths = (texts.length > 0 ? texts : ['st:']).map((text) => parseInStore(text, 'du'));
    const store = await context.store(options);
    for (const path of paths)
      for await (const usage of usagesOf(context, store, path)) {
        if (options.json) await output.json(usage);
        else await output.line(usageLine(usage, options.bytes, output.name(usage.path)));
      }
  }
});

async function* usagesOf(
  { output, signal }: CommandContext,
  store: StoreClient,
  { bucket, key }: StorePath
): AsyncGenerator<Usage> {
  if (bucket === undefined) {
    for await (const head of store.listBuckets({ signal }))
      yield { path: formatStorePath(head.bucket, ''), ...head.usage };
    return;
  }
  const path = formatStorePath(bucket, key);
  const found = await findInStore(store, { bucket, key }, { prefer: 'directory', signal });
  if (found.type === 'object') {
    yield { path, objectCount: 1, bytes: found.head.size };
    return;
  }
  let usage: UsageResult;
  {
    using _progress = output.progress({ action: `counting ${path}`, unit: 'objects' });
    usage = await store.objects.usage({ bucket, prefix: found.prefix }, { signal });
  }
  yield { path, ...usage };
}

function usageLine({ objectCount, bytes }: Usage, isExact: boolean, name: string): string {
  const size = isExact ? String(bytes) : formatSize(bytes);
  const objects = objectCount === 1 ? '1 object' : `${objectCount} objects`;
  return `${size.padStart(isExact ? 15 : 10)}  ${objects.padEnd(14)}  ${name}`;
}
