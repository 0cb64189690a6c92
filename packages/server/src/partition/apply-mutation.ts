import type { BucketHead } from '../api/index.js';
import type { ApplyContext } from './apply-context.js';
import {
  applyCompose,
  applyCopy,
  applyDelete,
  applyEdit,
  applyPut,
  applyRelocate,
  applyRename,
  applySetAttributes
} from './apply-object-mutation.js';
import {
  applyAbortUpload,
  applyCompleteUpload,
  applyCopyRange,
  applyCreateUpload,
  applyPutPart,
  applyUploadOperation
} from './apply-upload-mutation.js';
import type { MutationBody, MutationOf } from './mutation.js';
import type { PartitionIndex } from './partition-index.js';
import { bucketRow, usageRow } from './row-key.js';
import { encodeBucketRecord, encodeUsage } from './small-records.js';
import { loadUploadContents, type UploadContents } from './upload-contents.js';

/** Changes a whole prefix in several steps: see prefix-change.ts. */
export type PrefixMutation = MutationOf<'renamePrefix'> | MutationOf<'deletePrefix'>;
export type OneStepMutation = Exclude<MutationBody, PrefixMutation>;

export function isPrefixMutation(body: MutationBody): body is PrefixMutation {
  return body.type === 'renamePrefix' || body.type === 'deletePrefix';
}

/** What must be read of the index before a mutation is applied, since applying is one synchronous step. */
export async function loadFor(
  index: PartitionIndex,
  body: MutationBody
): Promise<UploadContents | undefined> {
  if (body.type !== 'completeUpload' && body.type !== 'abortUpload') return undefined;
  return await loadUploadContents(index, body.uploadId);
}

/** Applies a mutation: the same to the same rows, whether it was just made or is replayed. The result is its answer. */
export function applyMutation(
  context: ApplyContext,
  body: OneStepMutation,
  contents?: UploadContents
): unknown {
  switch (body.type) {
    case 'put':
      return applyPut(context, body);
    case 'edit':
      return applyEdit(context, body);
    case 'relocate':
      return applyRelocate(context, body);
    case 'setAttributes':
      return applySetAttributes(context, body);
    case 'delete':
      return applyDelete(context, body);
    case 'copy':
      return applyCopy(context, body);
    case 'rename':
      return applyRename(context, body);
    case 'compose':
      return applyCompose(context, body);
    case 'createBucket':
      return applyCreateBucket(context, body);
    case 'configureBucket':
      return applyConfigureBucket(context, body);
    case 'deleteBucket':
      context.delete(bucketRow(body.bucket));
      context.delete(usageRow(body.bucket));
      return undefined;
    case 'createUpload':
      return applyCreateUpload(context, body);
    case 'writeUpload': {
      const { offset, uploadId } = body;
      const pieces = context.resolve(body.pieces);
      return applyUploadOperation(context, uploadId, { type: 'write', offset, pieces });
    }
    case 'truncateUpload':
      return applyUploadOperation(context, body.uploadId, { type: 'truncate', size: body.size });
    case 'punchUpload': {
      const { offset, length } = body;
      return applyUploadOperation(context, body.uploadId, { type: 'punch', offset, length });
    }
    case 'copyRange':
      return applyCopyRange(context, body);
    case 'putPart':
      return applyPutPart(context, body);
    case 'completeUpload':
      return applyCompleteUpload(context, body, contents!);
    case 'abortUpload':
      return applyAbortUpload(context, body, contents!);
    case 'bytes':
      return undefined;
  }
}

function applyCreateBucket(
  context: ApplyContext,
  { bucket, settings }: MutationOf<'createBucket'>
): BucketHead {
  const record = { createdAtMs: context.atMs, settings };
  context.put(bucketRow(bucket), encodeBucketRecord(record));
  context.put(usageRow(bucket), encodeUsage({ objectCount: 0, bytes: 0 }));
  return { bucket, ...record, usage: context.usage(bucket) };
}

function applyConfigureBucket(
  context: ApplyContext,
  { bucket, settings }: MutationOf<'configureBucket'>
): BucketHead {
  const { createdAtMs, settings: before } = context.bucket(bucket);
  const record = { createdAtMs, settings: { ...before, ...settings } };
  context.put(bucketRow(bucket), encodeBucketRecord(record));
  return { bucket, ...record, usage: context.usage(bucket) };
}
