import { LIMITS, type StoreClient } from '@stampede/client';
import { defineCommand } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { assertOutside } from '../copy/copy-plan.js';
import { copyOf, copyTree } from '../copy/copy-tree.js';
import { keyIn, nameOf, prefixIn, type StoreDestination, storeDestination } from '../copy/destination.js';
import { Outcome } from '../copy/outcome.js';
import { runAll, type Transfer, type TransferScope } from '../copy/transfer.js';
import { connectionOptions, jsonOption, recursiveOption } from '../shared-options.js';
import { findInStore } from '../store-lookup.js';
import { type BucketPath, parseInBucket } from '../store-path.js';
import { CommandError, UsageError } from '../usage-error.js';

/** Copies within the store take next to nothing here. */
const JOBS_MAX = 16;
const LOCAL = 'mv, or "stampede cp" and rm';

export const mv = defineCommand({
  name: 'mv',
  parameters: '<path...>',
  usage: '<source...> <target>',
  summary: 'rename objects, or with -r directories, within the store',
  details:
    'As mv(1): into the target when that is a directory (or ends in a slash), else to the target; an object there is\n' +
    'replaced. Within a bucket it is one step, however much is in a directory; into another bucket each object is\n' +
    'copied (sharing its bytes) and then deleted.',
  options: {
    recursive: recursiveOption('also directories, with everything in them'),
    json: jsonOption('how many objects were moved, as JSON'),
    ...connectionOptions
  },
  example: 'mv -r st:drive/2025/ st:drive/archive/',
  async run(context, texts, options) {
    if (texts.length < 2) throw new UsageError('there is no target; write mv SOURCE... TARGET');
    const { output, signal } = context;
    const target = parseInBucket(texts.at(-1)!, LOCAL);
    const sources = texts.slice(0, -1).map((text) => parseInBucket(text, LOCAL));
    for (const { key, text } of sources)
      if (key === '') throw new UsageError(`${text} is a bucket, which keeps its name; move what is in it`);
    const store = await context.store(options);
    const destination = await storeDestination(store, target, signal);
    if (sources.length > 1 && !destination.isDirectory)
      throw new UsageError(`${target.text} is no directory; end it in a slash to move several into it`);
    const outcome = new Outcome((text) => output.note(text));
    let objectCount = 0;
    for (const source of sources) {
      const move = { source, destination, isRecursive: options.recursive, outcome };
      try {
        objectCount += await moveOne(context, store, move);
      } catch (error) {
        if (signal.aborted) throw error;
        outcome.failed(source.text, error);
      }
    }
    if (options.json) await output.json({ objectCount, failedCount: outcome.failedCount });
    outcome.finish('moved');
  }
});

interface Move {
  readonly source: BucketPath;
  readonly destination: StoreDestination;
  readonly isRecursive: boolean;
  readonly outcome: Outcome;
}

/** @returns How many objects were moved. */
async function moveOne(context: CommandContext, store: StoreClient, move: Move): Promise<number> {
  const { signal, output } = context;
  const { source, destination, isRecursive, outcome } = move;
  const { bucket } = source;
  const found = await findInStore(store, source, { prefer: isRecursive ? 'directory' : 'object', signal });
  if (found.type === 'directory' && !isRecursive) throw new CommandError('it is a directory; use mv -r');
  using progress = output.progress({ action: `moving ${source.text}`, unit: 'objects' });
  const scope = { store, signal, outcome, onBytes: () => progress.advance(1) };
  const isSameBucket = bucket === destination.bucket;
  if (found.type === 'object') {
    const to = { bucket: destination.bucket, key: keyIn(destination, nameOf(source)) };
    const { key } = found.head;
    if (!isSameBucket) return moveAcross(one(copyOf(found.head, { to, isMove: true }, scope)), scope);
    if (to.key === key) throw new CommandError('it is the target itself');
    await store.objects.rename({ bucket, key, to: { key: to.key } }, { signal });
    outcome.done(0);
    return 1;
  }
  const { prefix } = found;
  const to = { bucket: destination.bucket, prefix: prefixIn(destination, nameOf(source)) };
  assertOutside({ bucket, prefix }, to);
  if (!isSameBucket) return moveAcross(copyTree({ bucket, prefix, to, isMove: true }, scope), scope);
  if (to.prefix === '') throw new CommandError('a directory cannot become the bucket; move what is in it');
  const options = { signal, deadlineMs: LIMITS.callDeadlineMsMax };
  const { objectCount } = await store.objects.renamePrefix({ bucket, prefix, to: to.prefix }, options);
  outcome.done(0);
  return objectCount;
}

async function moveAcross(transfers: AsyncIterable<Transfer>, scope: TransferScope): Promise<number> {
  const before = scope.outcome.doneCount;
  await runAll(transfers, scope, JOBS_MAX);
  return scope.outcome.doneCount - before;
}

async function* one(transfer: Transfer): AsyncGenerator<Transfer> {
  yield transfer;
}
