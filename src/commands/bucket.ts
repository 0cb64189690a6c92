import type { BucketHead, BucketSettings } from '@stampede/client';
import { type CommandGroup, defineCommand, flag, value, values } from '../command.js';
import { bucketDetails, formatTime } from '../describe-object.js';
import { parseTag } from '../option-values.js';
import type { Output } from '../output.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { formatSize, parseSize } from '../size.js';
import { parseBucket, parseLocation } from '../store-path.js';
import { UsageError } from '../usage-error.js';

const settingOptions = {
  quota: value('--quota <size>', 'most bytes of all its objects together, or "none"', parseQuota),
  tag: values('--tag <name=value>', 'may be given more than once', parseTag)
};

const create = defineCommand({
  name: 'create',
  parameters: '<bucket>',
  summary: 'create a bucket',
  options: { ...settingOptions, json: jsonOption('the bucket as JSON'), ...connectionOptions },
  example: 'create photos --quota 100GiB',
  async run(context, [name = ''], options) {
    const bucket = parseName(name);
    const settings = settingsOf(options);
    const store = await context.store(options);
    const head = await store.buckets.create({ bucket, settings }, { signal: context.signal });
    if (options.json) await context.output.json(bucketDetails(head));
  }
});

const rm = defineCommand({
  name: 'rm',
  parameters: '<bucket>',
  summary: 'remove an empty bucket',
  details: 'First empty it: stampede rm -r st:BUCKET/',
  options: connectionOptions,
  example: 'rm photos',
  async run(context, [name = ''], options) {
    const bucket = parseName(name);
    const store = await context.store(options);
    await store.buckets.delete({ bucket }, { signal: context.signal });
  }
});

const ls = defineCommand({
  name: 'ls',
  parameters: '',
  summary: 'list the buckets',
  options: { json: jsonOption('one JSON object a line'), ...connectionOptions },
  example: 'ls',
  async run(context, _parameters, options) {
    const { output, signal } = context;
    const store = await context.store(options);
    for await (const head of store.listBuckets({ signal })) {
      const { bucket, createdAtMs, usage } = head;
      if (options.json) await output.json(bucketDetails(head));
      else
        await output.line(
          `${formatTime(createdAtMs)} ${formatSize(usage.bytes).padStart(10)} ${String(usage.objectCount).padStart(10)}  ${bucket}`
        );
    }
  }
});

const info = defineCommand({
  name: 'info',
  parameters: '<bucket>',
  summary: 'show the settings and the usage of a bucket',
  options: { json: jsonOption('them as JSON'), ...connectionOptions },
  example: 'info photos',
  async run(context, [name = ''], options) {
    const bucket = parseName(name);
    const store = await context.store(options);
    await print(
      context.output,
      await store.buckets.head({ bucket }, { signal: context.signal }),
      options.json
    );
  }
});

const set = defineCommand({
  name: 'set',
  parameters: '<bucket>',
  summary: 'change the settings of a bucket',
  details: 'What is not named stays as it is; --tag replaces all tags.',
  options: {
    ...settingOptions,
    clearTags: flag('--clear-tags', 'remove all tags'),
    json: jsonOption('the bucket as JSON'),
    ...connectionOptions
  },
  example: 'set photos --quota none',
  async run(context, [name = ''], options) {
    const bucket = parseName(name);
    const settings = settingsOf(options);
    if (Object.keys(settings).length === 0)
      throw new UsageError('nothing to change; name a setting: --quota, --tag or --clear-tags');
    const store = await context.store(options);
    const head = await store.buckets.configure({ bucket, settings }, { signal: context.signal });
    if (options.json) await context.output.json(bucketDetails(head));
  }
});

export const bucket: CommandGroup = {
  name: 'bucket',
  summary: 'create, remove, list and configure buckets',
  commands: [create, rm, ls, info, set]
};

interface SettingValues {
  readonly quota: Pick<BucketSettings, 'quotaBytes'> | undefined;
  readonly tag: readonly (readonly [string, string])[];
  readonly clearTags?: boolean | undefined;
}

function settingsOf({ quota, tag, clearTags }: SettingValues): BucketSettings {
  if (clearTags && tag.length > 0)
    throw new UsageError('--clear-tags and --tag contradict each other; give one');
  const tags = clearTags ? {} : tag.length > 0 ? Object.fromEntries(tag) : undefined;
  return { ...quota, ...(tags && { tags }) };
}

/** `photos` or `st:photos`. */
function parseName(text: string): string {
  if (!text.startsWith('st:')) return parseBucket(text);
  const location = parseLocation(text);
  if (location.type === 'store' && location.bucket !== undefined && location.key === '')
    return location.bucket;
  throw new UsageError(`"${text}" is no bucket; write its name alone`);
}

function parseQuota(text: string): Pick<BucketSettings, 'quotaBytes'> {
  return { quotaBytes: text === 'none' ? null : parseSize(text) };
}

async function print(output: Output, head: BucketHead, isJson: boolean): Promise<void> {
  const details = bucketDetails(head);
  if (isJson) return output.json(details);
  const { quotaBytes, tags } = details;
  await output.table([
    ['bucket', details.bucket],
    ['created', formatTime(head.createdAtMs)],
    ['objects', String(details.objectCount)],
    ['size', `${formatSize(details.bytes)} (${details.bytes} bytes)`],
    ['quota', quotaBytes === null ? 'none' : `${formatSize(quotaBytes)} (${quotaBytes} bytes)`],
    ...Object.entries(tags).map(([name, text]) => ['tag', output.name(`${name}=${text}`)])
  ]);
}
