import {
  type EditStep,
  isStoreError,
  LIMITS,
  type ObjectHead,
  type PosixAttributes,
  type StoreCalls
} from '@stampede/client';
import { FileSystemError } from './errno.js';
import type { Layer } from './layer.js';
import { UploadSession, type UploadTarget } from './upload-session.js';

/** A file that is made and removed by others all the time. */
const PUT_COUNT_MAX = 5;

export interface CommitInput {
  readonly store: StoreCalls;
  readonly target: UploadTarget;
  readonly layer: Layer;
  /** The file's size with the layer. */
  readonly size: number;
  /** All attributes of the file, for a version that takes none from an earlier one. */
  readonly attributes: PosixAttributes;
}

/**
 * Makes one new version of a layer; durable on return. One call when the bytes fit one: `put` for a new file, `edit`
 * for a change; more bytes travel through an upload. Written ranges lie over the newest version, whoever made it.
 *
 * @throws StoreError as the store answers; FileSystemError `ESTALE` when the file was removed elsewhere and the rest of
 *         its bytes with it.
 */
export async function commitLayer(input: CommitInput): Promise<ObjectHead> {
  const { store, target, layer } = input;
  const { bucket, key } = target;
  let head: ObjectHead;
  if (!layer.hasBytes && target.base) head = await setAttributes(input);
  else if (layer.upload || !fitsOneCall(layer)) head = await completeUpload(input);
  else if (!target.base && layer.extents.bytes === input.size)
    head = await (layer.cutAt === 0 ? putWhole(input) : putNew(input));
  else head = await edit(input);
  if (layer.hasBytes && layer.removedXattrs.size > 0)
    head = await store.objects.setAttributes({ bucket, key, removeXattrs: [...layer.removedXattrs] });
  return head;
}

/** Whether a change is small enough to be one call, so that sending parts of it ahead gains nothing. */
export function fitsOneCall(layer: Layer): boolean {
  return layer.extents.bytes <= LIMITS.bodyBytesMax && layer.stepCount <= LIMITS.editCountMax;
}

async function setAttributes({ store, target, layer }: CommitInput): Promise<ObjectHead> {
  const { bucket, key } = target;
  const removeXattrs = [...layer.removedXattrs];
  return store.objects.setAttributes({
    bucket,
    key,
    attributes: layer.attributes,
    ...(removeXattrs.length > 0 && { removeXattrs })
  });
}

async function putWhole({ store, target, layer, size, attributes }: CommitInput): Promise<ObjectHead> {
  const { bucket, key, base } = target;
  const body = wholeBody(layer, size);
  return store.objects.put({ bucket, key, body, attributes, ...(base && descriptionOf(base)) });
}

/** A file that was not there when it was opened: what others have made there since stays under what is written. */
async function putNew(input: CommitInput): Promise<ObjectHead> {
  const { store, target, layer, size, attributes } = input;
  const { bucket, key } = target;
  const body = wholeBody(layer, size);
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.objects.put({ bucket, key, body, attributes, ifNoneMatch: '*' });
    } catch (error) {
      // When it is not known whether it happened, it may be this file that the next try finds.
      if (!isStoreError(error, 'PreconditionFailed')) layer.isAppendOnly = false;
      if (!isStoreError(error, 'PreconditionFailed') || attempt === PUT_COUNT_MAX) throw error;
    }
    const base = await store.objects.head({ bucket, key }).catch((error: unknown) => {
      if (isStoreError(error, 'NoSuchKey')) return undefined;
      throw error;
    });
    if (!base) continue;
    const over = { ...input, target: { ...target, base } };
    return layer.hasBytes ? edit(over) : setAttributes(over);
  }
}

async function edit(input: CommitInput): Promise<ObjectHead> {
  const { store, target, layer, size } = input;
  const { bucket, key, base } = target;
  const isWhole = base === undefined || layer.cutAt === 0;
  try {
    return await store.objects.edit({
      bucket,
      key,
      steps: editSteps(layer, size, base),
      body: editBody(layer),
      attributes: isWhole ? input.attributes : layer.attributes,
      ...(isWhole && { create: true })
    });
  } catch (error) {
    // An append without an offset must not be repeated: whether it happened is unknown.
    layer.isAppendOnly = false;
    if (!isStoreError(error, 'NoSuchKey')) throw error;
    if (layer.hidesBelow(size) && size <= LIMITS.bodyBytesMax) return putWhole(input);
    throw new FileSystemError('ESTALE', `${key} was removed elsewhere while it was being written`, {
      cause: error
    });
  }
}

function editSteps(layer: Layer, size: number, base: ObjectHead | undefined): EditStep[] {
  const steps: EditStep[] = [];
  const cutAt = base ? layer.cutAt : 0;
  if (cutAt !== undefined) steps.push({ type: 'truncate', size: cutAt });
  for (const { start, end } of base ? layer.holes.all() : [])
    steps.push({ type: 'punch', offset: start, length: end - start });
  // Also where another mount's bytes came between two of them: their offsets here are not those in the store.
  if (base && layer.isAppendOnly && steps.length === 0 && layer.extents.count > 0)
    return [...layer.extents.all()].map(({ length }) => ({ type: 'write', length }));
  for (const extent of layer.extents.all())
    steps.push({ type: 'write', offset: extent.offset, length: extent.length });
  if (layer.hasSize && layer.extents.end < size && cutAt !== size) steps.push({ type: 'truncate', size });
  return steps;
}

async function completeUpload(input: CommitInput): Promise<ObjectHead> {
  const { store, target, layer, size } = input;
  const { bucket, key, base } = target;
  layer.upload ??= new UploadSession(store, layer, target);
  await layer.upload.drain();
  const { uploadId } = await layer.upload.head();
  const isEdit = base !== undefined && layer.cutAt !== 0;
  if (layer.hasSize && layer.writtenEnd < size) await store.uploads.truncate({ bucket, key, uploadId, size });
  try {
    return await store.uploads.complete({
      bucket,
      key,
      uploadId,
      attributes: isEdit ? layer.attributes : input.attributes,
      ...(base && !isEdit && descriptionOf(base)),
      ...(isEdit && { rebase: true })
    });
  } catch (error) {
    if (!isStoreError(error, 'NoSuchKey')) throw error;
    throw new FileSystemError('ESTALE', `${key} was removed elsewhere while it was being written`, {
      cause: error
    });
  }
}

function wholeBody(layer: Layer, size: number): Uint8Array {
  const [only] = layer.extents.all();
  if (layer.extents.count === 1 && only && only.offset === 0 && only.length === size)
    return only.buffer.subarray(0, size);
  const body = new Uint8Array(size);
  for (const extent of layer.extents.all()) body.set(extent.buffer.subarray(0, extent.length), extent.offset);
  return body;
}

function editBody(layer: Layer): Uint8Array {
  const [only] = layer.extents.all();
  if (layer.extents.count === 1 && only) return only.buffer.subarray(0, only.length);
  const body = new Uint8Array(layer.extents.bytes);
  let position = 0;
  for (const extent of layer.extents.all()) {
    body.set(extent.buffer.subarray(0, extent.length), position);
    position += extent.length;
  }
  return body;
}

/** What a version has besides bytes and attributes, kept when its bytes are replaced. */
function descriptionOf({ contentType, userMetadata, tags }: ObjectHead) {
  return { contentType, userMetadata, tags };
}
