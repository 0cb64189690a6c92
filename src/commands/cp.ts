import type { StoreClient } from '@stampede/client';
import { defineCommand, flag, valueOr } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { bytesToCopy } from '../copy/bytes-to-copy.js';
import { type CopyPlan, type Destination, type Source, transfersOf } from '../copy/copy-plan.js';
import { localDestination, storeDestination } from '../copy/destination.js';
import { Outcome } from '../copy/outcome.js';
import { readableObject } from '../copy/readable-object.js';
import { runAll } from '../copy/transfer.js';
import { parseJobs } from '../option-values.js';
import { connectionOptions, jsonOption, recursiveOption } from '../shared-options.js';
import { type BucketPath, type Location, parseInBucket, parseLocation } from '../store-path.js';
import { UsageError } from '../usage-error.js';

const JOBS_DEFAULT = 32;

export const cp = defineCommand({
  name: 'cp',
  parameters: '<path...>',
  usage: '<source...> <target>',
  summary: 'copy files and objects, into, out of, or within the store',
  details:
    'As cp(1): into the target when that is a directory (or ends in a slash), else the target is the copy; "DIR/." is\n' +
    'what is in DIR. Modes, times of modification and links are kept. Files appear whole or not at all. Copies within\n' +
    'the store share their bytes. "-" is stdin or stdout.',
  options: {
    recursive: recursiveOption('directories with everything in them'),
    dereference: flag('-L, --dereference', 'copy what links point to, not the links'),
    jobs: valueOr('-j, --jobs <number>', 'how many objects at once', {
      parse: parseJobs,
      otherwise: JOBS_DEFAULT
    }),
    json: jsonOption('how many objects and bytes were copied, as JSON'),
    ...connectionOptions
  },
  example: 'cp -r ~/Pictures st:photos/2026',
  async run(context, texts, options) {
    const target = parseLocation(texts.at(-1)!);
    const sources = texts.slice(0, -1).map(parseLocation);
    checkPlaces(sources, target);
    const [first] = sources;
    const store = await context.store(options);
    const outcome = new Outcome((text) => context.output.note(text));
    if (first?.type === 'stream') await fromStdin(context, store, target, outcome);
    else if (target.type === 'stream') await toStdout(context, store, first as BucketPath, outcome);
    else await copyAll(context, store, { sources: sources as Source[], target, options, outcome });
    // On stdout the copy itself may have been written.
    if (options.json && target.type !== 'stream') await context.output.json(outcome.summary);
    outcome.finish('copied');
  }
});

function checkPlaces(sources: readonly Location[], target: Location): void {
  if (sources.length === 0) throw new UsageError('there is no target; write cp SOURCE... TARGET');
  const places = [...sources, target];
  if (places.some(({ type }) => type === 'stream') && sources.length > 1)
    throw new UsageError('"-" takes one source and one target; copy one at a time');
  if (places.every(({ type }) => type !== 'store'))
    throw new UsageError('nothing of this is in the store; write st:BUCKET/KEY, or use cp for local files');
  for (const place of sources) {
    if (place.type === 'local' && target.type !== 'store')
      throw new UsageError(
        `${place.text} is not in the store; write st:BUCKET/KEY, or use cp for local files`
      );
    if (place.type === 'store') parseInBucket(place.text, 'cp');
  }
  if (target.type === 'store') parseInBucket(target.text, 'cp');
}

async function fromStdin(
  { world, output, signal }: CommandContext,
  store: StoreClient,
  target: Location,
  outcome: Outcome
): Promise<void> {
  const { bucket, key, text } = parseInBucket(target.text, 'cp');
  if (key === '' || key.endsWith('/'))
    throw new UsageError(`${text} has no name for what stdin holds; write st:BUCKET/KEY`);
  using progress = output.progress({ action: 'copying', unit: 'bytes' });
  let stored = 0;
  const onProgress = ({ storedBytes }: { readonly storedBytes: number }) => {
    progress.advance(storedBytes - stored);
    stored = storedBytes;
  };
  const { size } = await store.upload({ bucket, key, body: world.stdin, signal, onProgress });
  outcome.done(size);
}

async function toStdout(
  { output, signal }: CommandContext,
  store: StoreClient,
  source: BucketPath,
  outcome: Outcome
): Promise<void> {
  const { bucket, key, size } = await readableObject(store, source, signal);
  const { body } = await store.download({ bucket, key, signal });
  for await (const piece of body) await output.write(piece);
  outcome.done(size);
}

interface CopyRequest {
  readonly sources: readonly Source[];
  readonly target: Exclude<Location, { readonly type: 'stream' }>;
  readonly options: { readonly recursive: boolean; readonly dereference: boolean; readonly jobs: number };
  readonly outcome: Outcome;
}

async function copyAll(
  context: CommandContext,
  store: StoreClient,
  { sources, target, options, outcome }: CopyRequest
): Promise<void> {
  const { output, signal, world } = context;
  const { recursive, dereference, jobs } = options;
  const destination = await destinationOf(context, store, target);
  if (sources.length > 1 && !destination.isDirectory)
    throw new UsageError(`${target.text} is no directory; end it in a slash to copy several into it`);
  const plan: CopyPlan = {
    sources,
    destination,
    isRecursive: recursive,
    // As cp(1): a link that is named is followed, one in a tree is kept.
    isFollowing: dereference || !recursive,
    workingDirectory: world.workingDirectory
  };
  const measuring = new AbortController();
  using progress = output.progress({
    action: 'copying',
    unit: 'bytes',
    onShow: (bar) => {
      bytesToCopy(plan, store, AbortSignal.any([signal, measuring.signal])).then(
        (bytes) => bar.expect(bytes),
        // Without a total the bar shows what was copied.
        () => undefined
      );
    }
  });
  const scope = { store, signal, outcome, onBytes: (count: number) => progress.advance(count) };
  try {
    await runAll(transfersOf(plan, scope), scope, jobs);
  } finally {
    measuring.abort();
  }
}

async function destinationOf(
  context: CommandContext,
  store: StoreClient,
  target: Exclude<Location, { readonly type: 'stream' }>
): Promise<Destination> {
  if (target.type === 'local')
    return {
      type: 'local',
      ...(await localDestination(context.localPath(target.path), target.path.endsWith('/')))
    };
  const path = parseInBucket(target.text, 'cp');
  return { type: 'store', ...(await storeDestination(store, path, context.signal)) };
}
