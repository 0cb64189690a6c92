import { isStoreError, type StoreError } from '../../api/index.js';
import type { PartitionLayer } from '../../partition/index.js';
import { digestOfBytes, tokenBytes } from './content.js';
import type { ModelAnswer, ModelCall } from './store-model.js';

export interface MakeCallOptions {
  readonly layer: PartitionLayer;
  readonly bucket: string;
  /** The same for each try of one call. */
  readonly requestId: string;
  readonly deadlineMs: number;
}

export type CallOutcome =
  | { readonly type: 'answer'; readonly answer: ModelAnswer }
  /** It may have happened, or happen later. */
  | { readonly type: 'unknown'; readonly code: string }
  | { readonly type: 'wrong'; readonly error: unknown };

const REFUSALS = ['NoSuchKey', 'PreconditionFailed', 'PrefixNotEmpty'] as const;
const UNKNOWN = [
  'ServiceUnavailable',
  'DeadlineExceeded',
  'ReplicaUnavailable',
  'NoSpace',
  'SlowDown',
  'Cancelled',
  'WrongPartition',
  'StaleEpoch'
] as const;
/** An upload goes in pieces of so many bytes. */
const UPLOAD_BYTES = 10_000;
/** What nobody completes is collected after this time. */
const ABANDONED_MS = 60_000;

/** Makes a call of the model on a store. */
export async function makeCall(call: ModelCall, options: MakeCallOptions): Promise<CallOutcome> {
  try {
    return { type: 'answer', answer: await made(call, options) };
  } catch (error) {
    if (isStoreError(error, ...REFUSALS)) return { type: 'answer', answer: error.code };
    if (isStoreError(error, ...UNKNOWN)) return { type: 'unknown', code: (error as StoreError).code };
    return { type: 'wrong', error };
  }
}

async function made(
  call: ModelCall,
  { layer, bucket, requestId, deadlineMs }: MakeCallOptions
): Promise<ModelAnswer> {
  const { objects } = layer;
  const options = { deadlineMs };
  switch (call.type) {
    case 'put':
    case 'create':
    case 'putIf': {
      const { key, token, length } = call;
      const condition =
        call.type === 'create'
          ? { ifNoneMatch: '*' }
          : call.type === 'putIf'
            ? { ifMatch: `generation:${call.generation}` }
            : {};
      const body = tokenBytes(token, 0, length);
      return (await objects.put({ bucket, key, body, requestId, ...condition }, options)).generation;
    }
    case 'append': {
      const { key, token, length } = call;
      const steps = [{ type: 'write' as const, length }];
      const body = tokenBytes(token, 0, length);
      return (await objects.edit({ bucket, key, steps, body, create: true, requestId }, options)).generation;
    }
    case 'overwrite': {
      const { key, offset, token, length } = call;
      const steps = [{ type: 'write' as const, offset, length }];
      const body = tokenBytes(token, 0, length);
      return (await objects.edit({ bucket, key, steps, body, requestId }, options)).generation;
    }
    case 'truncate': {
      const { key, size } = call;
      const steps = [{ type: 'truncate' as const, size }];
      const body = new Uint8Array(0);
      return (await objects.edit({ bucket, key, steps, body, requestId }, options)).generation;
    }
    case 'upload':
      return await upload(call, { layer, bucket, requestId, deadlineMs });
    case 'abandon':
      return await abandon(call, { layer, bucket, requestId, deadlineMs });
    case 'read': {
      const { head, body } = await objects.read({ bucket, key: call.key }, options);
      return `${head.generation} ${digestOfBytes(body)}`;
    }
    case 'head': {
      const { generation, size } = await objects.head({ bucket, key: call.key }, options);
      return `${generation} ${size}`;
    }
    case 'delete':
      return (await objects.delete({ bucket, key: call.key, requestId }, options)).deleted;
    case 'rename': {
      const to = { key: call.to };
      return (await objects.rename({ bucket, key: call.key, to, requestId }, options)).generation;
    }
    case 'copy': {
      const to = { key: call.to };
      return (await objects.copy({ bucket, key: call.key, to, requestId }, options)).generation;
    }
    case 'renamePrefix':
      return (await objects.renamePrefix({ bucket, prefix: call.prefix, to: call.to, requestId }, options))
        .objectCount;
    case 'deletePrefix':
      return (await objects.deletePrefix({ bucket, prefix: call.prefix, requestId }, options)).objectCount;
    case 'list': {
      const { objects: heads } = await objects.list({ bucket, prefix: call.prefix }, options);
      return heads.map(({ key, generation }) => `${key} ${generation}`).join(', ');
    }
  }
}

/** In pieces, of which nobody sees anything before the end. */
async function upload(
  { key, token, length }: { readonly key: string; readonly token: number; readonly length: number },
  { layer, bucket, requestId, deadlineMs }: MakeCallOptions
): Promise<number> {
  const { uploads } = layer;
  const options = { deadlineMs };
  const { uploadId } = await uploads.create({ bucket, key, requestId: `${requestId}/create` }, options);
  await writePieces({ key, token, length, uploadId }, { layer, bucket, requestId, deadlineMs });
  return (await uploads.complete({ bucket, key, uploadId, requestId: `${requestId}/complete` }, options))
    .generation;
}

/** Leaves an upload as it is, given up or for its time to run out. */
async function abandon(
  { key, token, length }: { readonly key: string; readonly token: number; readonly length: number },
  { layer, bucket, requestId, deadlineMs }: MakeCallOptions
): Promise<boolean> {
  const { uploads } = layer;
  const options = { deadlineMs };
  const given = { bucket, key, requestId: `${requestId}/create`, expiresInMs: ABANDONED_MS };
  const { uploadId } = await uploads.create(given, options);
  try {
    await writePieces({ key, token, length, uploadId }, { layer, bucket, requestId, deadlineMs });
    if (token % 2 === 0)
      await uploads.abort({ bucket, key, uploadId, requestId: `${requestId}/abort` }, options);
  } catch (error) {
    // By the clock of the server its time was over.
    if (!isStoreError(error, 'NoSuchUpload')) throw error;
  }
  return true;
}

async function writePieces(
  { key, token, length, uploadId }: { key: string; token: number; length: number; uploadId: string },
  { layer, bucket, requestId, deadlineMs }: MakeCallOptions
): Promise<void> {
  for (let offset = 0; offset < length; offset += UPLOAD_BYTES) {
    const body = tokenBytes(token, offset, Math.min(UPLOAD_BYTES, length - offset));
    await layer.uploads.write(
      { bucket, key, uploadId, offset, body, requestId: `${requestId}/${offset}` },
      { deadlineMs }
    );
  }
}
