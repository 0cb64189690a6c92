import assert from 'node:assert';
import type { DeleteResult, ObjectHead, PrefixResult } from '../api/index.js';
import { type ApplyContext, versionIdOf } from './apply-context.js';
import { type Description, describe, NO_DESCRIPTION, withoutXattrs } from './description.js';
import { editSliceMap, type SliceEdit } from './edit-slice-map.js';
import type { MutationOf, Place } from './mutation.js';
import type { ObjectRecord } from './object-record.js';
import type { OpenedObject } from './row-view.js';
import { SliceMap } from './slice-map.js';

export function applyPut(context: ApplyContext, body: MutationOf<'put'>): ObjectHead {
  const map = SliceMap.from(context.resolve(body.pieces));
  return context.write(body, { ...describe(NO_DESCRIPTION, body.given), map, etag: body.etag });
}

export function applyEdit(context: ApplyContext, body: MutationOf<'edit'>): ObjectHead {
  const record = context.find(body);
  const base = record && context.open(record);
  const edits = body.steps.map(
    (step): SliceEdit => (step.type === 'write' ? { ...step, pieces: context.resolve(step.pieces) } : step)
  );
  const map = editSliceMap(base?.map ?? SliceMap.empty, edits);
  const description = describe(record ?? NO_DESCRIPTION, body.given);
  return writeOver(context, body, { base, description, map, etag: body.etag });
}

export function applyRelocate(context: ApplyContext, body: MutationOf<'relocate'>): boolean {
  const opened = context.open(existing(context, body));
  const runs = body.runs.map(({ offset, pieces }) => ({ offset, pieces: context.resolve(pieces) }));
  context.relocate(body, opened, opened.map.layAll(runs));
  return true;
}

export function applySetAttributes(context: ApplyContext, body: MutationOf<'setAttributes'>): ObjectHead {
  const record = context.find(body);
  const base = record && context.open(record);
  const described = describe(record ?? NO_DESCRIPTION, body.given);
  const description = withoutXattrs(described, body.removeXattrs);
  return writeOver(context, body, { base, description, map: base?.map ?? SliceMap.empty });
}

interface Change {
  readonly base: OpenedObject | undefined;
  readonly description: Description;
  readonly map: SliceMap;
  /** Absent = the bytes stay. */
  readonly etag?: string | undefined;
}

/** A next version in which bytes that stay keep their etag and their time. */
function writeOver(context: ApplyContext, place: Place, change: Change): ObjectHead {
  const { base, description, map } = change;
  const record = base?.record;
  const etag = change.etag ?? record?.etag;
  assert(etag !== undefined, 'a new object comes with its etag');
  const keepsTime = change.etag === undefined && record !== undefined;
  return context.write(
    place,
    { ...description, map, etag, ...(keepsTime && { modifiedAtMs: record.modifiedAtMs }) },
    base
  );
}

export function applyDelete(
  context: ApplyContext,
  { bucket, keys, isOne }: MutationOf<'delete'>
): DeleteResult | PrefixResult {
  let objectCount = 0;
  for (const key of keys) {
    const place = { bucket, key };
    const record = context.find(place);
    if (!record) continue;
    context.remove(place, record);
    objectCount += 1;
  }
  return isOne ? { deleted: objectCount > 0 } : { objectCount };
}

export function applyCopy(context: ApplyContext, body: MutationOf<'copy'>): ObjectHead {
  const source = context.open(existing(context, body));
  const isSame = body.to.bucket === body.bucket && body.to.key === body.key;
  const description = describe(source.record, body.given);
  const version = { ...description, map: source.map, etag: source.record.etag };
  return context.write(body.to, version, isSame ? source : undefined);
}

/** Moves records, so that neither bytes nor pages are touched. */
export function applyRename(context: ApplyContext, body: MutationOf<'rename'>): ObjectHead {
  const { bucket, key, isExchange, attributes } = body;
  const from = { bucket, key };
  const to = { bucket, key: body.to };
  const source = existing(context, from);
  const moved = {
    ...source,
    ...describe(source, attributes ? { attributes } : {}),
    versionId: versionIdOf(context.sequence)
  };
  if (body.to === key) return context.place(from, { ...moved, generation: source.generation + 1 }, source);
  const target = context.find(to);
  const generation = (target?.generation ?? 0) + 1;
  if (isExchange) {
    assert(target, 'both objects of an exchange exist');
    const back = { ...target, versionId: moved.versionId, generation: source.generation + 1 };
    context.place(from, back, source);
    return context.place(to, { ...moved, generation }, target);
  }
  if (target) context.release(target);
  context.take(from, source);
  return context.place(to, { ...moved, generation }, target);
}

export function applyCompose(context: ApplyContext, body: MutationOf<'compose'>): ObjectHead {
  let map = SliceMap.empty;
  for (const { offset, length, ...place } of body.sources) {
    const source = context.openMap(existing(context, place));
    map =
      offset === 0 && length === source.size ? map.concat(source) : map.append(source.range(offset, length));
  }
  return context.write(body, { ...describe(NO_DESCRIPTION, body.given), map, etag: body.etag });
}

export function existing(context: ApplyContext, place: Place): ObjectRecord {
  const record = context.find(place);
  assert(record, 'the object that a mutation starts from exists');
  return record;
}
