import assert from 'node:assert';
import { type Random, seededRandom } from '../../platform/index.js';
import { checkPartition } from './partition-checks.js';
import { PartitionFixture } from './partition-fixture.js';
import {
  isSame,
  type ModelMutation,
  type ModelState,
  randomMutation,
  readObjects
} from './partition-model.js';

export interface PartitionLivesOptions {
  readonly seed: number;
  readonly lifeCount?: number;
}

export interface PartitionLivesOutcome {
  readonly acknowledgedCount: number;
  readonly checkpointCount: number;
}

const MUTATIONS_PER_LIFE = 100;
const CALLER_COUNT = 4;
const BUCKET = 'crash-bucket';

/** One who makes a call after the other, on keys of its own. */
interface Caller {
  readonly prefix: string;
  state: ModelState;
  /** Made, and not answered when the power went. */
  underWay: ModelMutation | undefined;
}

/**
 * Lives of a partition, each ended by a power cut in the middle of mutations. After each, everything acknowledged is
 * there, what was in flight is wholly there or not at all, and every count equals a recount.
 */
export async function runPartitionLives({
  seed,
  lifeCount = 6
}: PartitionLivesOptions): Promise<PartitionLivesOutcome> {
  const random = seededRandom(seed * 7919 + 1);
  await using fixture = await PartitionFixture.start({
    seed,
    extentBytesMax: 256 * 1024,
    checkpointRecordBytesMin: 2 * 1024
  });
  const callers = Array.from({ length: CALLER_COUNT }, (_, index): Caller => {
    return { prefix: `${index}/`, state: { objects: new Map(), uploads: new Map() }, underWay: undefined };
  });
  let acknowledgedCount = 0;
  await fixture.until(fixture.layer.buckets.create({ bucket: BUCKET }));
  for (let life = 0; life < lifeCount; life++) {
    acknowledgedCount += await runLife(fixture, { callers, random });
    await fixture.until(cutPower(fixture, random));
    for (const caller of callers) await fixture.until(settle(fixture, caller));
    await checkPartition(fixture, BUCKET);
  }
  const checkpointCount = fixture.events.filter(({ type }) => type === 'checkpoint-written').length;
  return { acknowledgedCount, checkpointCount };
}

interface Life {
  readonly callers: readonly Caller[];
  readonly random: Random;
}

/** All callers at once, until the power is cut some turns into one of their calls. */
async function runLife(fixture: PartitionFixture, { callers, random }: Life): Promise<number> {
  const { layer } = fixture;
  const cutAt = Math.floor(random.fraction() * MUTATIONS_PER_LIFE);
  const turns = Math.floor(random.fraction() * 15);
  let madeCount = 0;
  let acknowledgedCount = 0;
  let isCut = false;
  let failure: unknown;
  let cut = (): void => undefined;
  const wasCut = new Promise<void>((resolve) => {
    cut = resolve;
  });
  const work = async (caller: Caller): Promise<void> => {
    for (; !isCut; await afterTurns(1)) {
      // In memory all is done in microtasks, so the turn must be given up for time to pass.
      const mutation = randomMutation({ bucket: BUCKET, prefix: caller.prefix, state: caller.state, random });
      madeCount += 1;
      if (madeCount === cutAt + 1) void afterTurns(turns).then(cut);
      caller.underWay = mutation;
      try {
        const answer = await mutation.run(layer);
        if (isCut) return;
        caller.state = mutation.after(answer);
        caller.underWay = undefined;
        acknowledgedCount += 1;
      } catch (error) {
        if (isCut) return;
        failure ??= new Error(`${mutation.name} failed before the power was cut`, { cause: error });
        cut();
        return;
      }
    }
  };
  for (const caller of callers) void work(caller);
  const checkpoints = async (): Promise<void> => {
    for (; !isCut; await afterTurns(5)) await layer.checkpoint().catch(() => undefined);
  };
  void checkpoints();
  await fixture.until(wasCut);
  isCut = true;
  if (failure !== undefined) throw failure;
  return acknowledgedCount;
}

async function afterTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function cutPower(fixture: PartitionFixture, random: Random): Promise<void> {
  await fixture.crash(random.fraction() < 0.5 ? { random } : {});
  if (random.fraction() < 0.7) return;
  await fixture.close();
  fixture.removeIndex();
  await fixture.open();
}

/** Compares what a caller finds with what it knows, and adopts what became of the call that was under way. */
async function settle({ layer }: PartitionFixture, caller: Caller): Promise<void> {
  const { underWay, prefix, state } = caller;
  caller.underWay = undefined;
  const place = { bucket: BUCKET, prefix };
  const { uploads } = await layer.uploads.list(place);
  if (!underWay) {
    assert(isSame(await readObjects(layer, place), state.objects), `${prefix} holds what was acknowledged`);
  } else if (underWay.isRepeatable) {
    // With the same request id it is made once, whether it had been made or not.
    caller.state = underWay.after(await underWay.run(layer));
    const found = await readObjects(layer, place);
    assert(isSame(found, caller.state.objects), `${underWay.name} was made once`);
  } else {
    const found = await readObjects(layer, place);
    const isUpload = underWay.name.includes('upload');
    const after =
      isUpload && !underWay.name.startsWith('complete') ? state : underWay.after({ uploadId: '' });
    if (!isSame(found, state.objects)) {
      assert(isSame(found, after.objects), `${underWay.name} was made wholly or not at all`);
      caller.state = after;
    }
    // What became of an upload is not seen: it is given up.
    if (isUpload) await giveUp(layer, uploads);
    if (isUpload) caller.state = { ...caller.state, uploads: new Map() };
  }
}

async function giveUp(
  layer: PartitionFixture['layer'],
  uploads: readonly { readonly bucket: string; readonly key: string; readonly uploadId: string }[]
): Promise<void> {
  for (const { bucket, key, uploadId } of uploads) await layer.uploads.abort({ bucket, key, uploadId });
}
