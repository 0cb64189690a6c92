import {
  composeSchema,
  copySchema,
  crc32c,
  deleteManySchema,
  deletePrefixSchema,
  deleteSchema,
  editSchema,
  headSchema,
  holesSchema,
  LIMITS,
  listSchema,
  type ObjectCalls,
  type ObjectHead,
  putSchema,
  readSchema,
  renamePrefixSchema,
  renameSchema,
  StoreError,
  setAttributesSchema,
  statSchema,
  usageSchema,
  watchSchema
} from '@stampede/server/api';
import { answer, checkConditions, parse } from './memory-call.js';
import { applySteps, MemoryContent } from './memory-content.js';
import { holesIn } from './memory-holes.js';
import { listPage, statPath } from './memory-listing.js';
import { describe, type MemoryBucket, type MemoryState, NO_DESCRIPTION } from './memory-state.js';

const EMPTY: Uint8Array = new Uint8Array(0);

export function memoryObjects(state: MemoryState): ObjectCalls {
  return {
    put: (input, options) =>
      answer(putSchema, input, options, (put) =>
        state.once(put.requestId, () => {
          const bucket = state.bucket(put.bucket);
          checkDigest(put.body, put.crc32c);
          checkConditions(bucket.objects.get(put.key)?.head, put);
          const body = new Uint8Array(put.body);
          return state.write(bucket, put.key, { ...describe(NO_DESCRIPTION, put), body, etag: put.md5 });
        })
      ),

    edit: (input, options) =>
      answer(editSchema, input, options, (edit) =>
        state.once(edit.requestId, () => {
          const bucket = state.bucket(edit.bucket);
          checkDigest(edit.body, edit.crc32c);
          const current = bucket.objects.get(edit.key);
          checkConditions(current?.head, edit);
          const base = current ?? (edit.create ? undefined : state.object(bucket, edit.key));
          const content = new MemoryContent(base?.body);
          applySteps(content, edit.steps, edit.body);
          return state.write(bucket, edit.key, {
            ...describe(base?.head ?? NO_DESCRIPTION, edit),
            body: content.toBytes(),
            etag: edit.steps.length === 0 ? base?.head.etag : undefined
          });
        })
      ),

    async read(input, options) {
      let body = EMPTY;
      const found = await answer(readSchema, input, options, (read) => {
        const object = state.object(state.bucket(read.bucket), read.key);
        checkVersion(object.head, read.versionId);
        checkConditions(object.head, read);
        const offset = read.offset ?? 0;
        body = object.body.slice(offset, offset + (read.length ?? LIMITS.bodyBytesMax));
        return { head: object.head, offset };
      });
      return { ...found, body, crc32c: crc32c(body) };
    },

    head: (input, options) =>
      answer(headSchema, input, options, ({ bucket, key, versionId }) => {
        const { head } = state.object(state.bucket(bucket), key);
        checkVersion(head, versionId);
        return head;
      }),

    holes: (input, options) =>
      answer(holesSchema, input, options, ({ bucket, key, offset, ifMatch }) => {
        const { head, body } = state.object(state.bucket(bucket), key);
        checkConditions(head, { ifMatch });
        return { head, ...holesIn(body, offset ?? 0) };
      }),

    stat: (input, options) =>
      answer(statSchema, input, options, ({ bucket, path }) => statPath(state.bucket(bucket), path)),

    list: (input, options) =>
      answer(listSchema, input, options, (query) => listPage(state.bucket(query.bucket), query)),

    delete: (input, options) =>
      answer(deleteSchema, input, options, (deletion) =>
        state.once(deletion.requestId, () => {
          const bucket = state.bucket(deletion.bucket);
          const current = bucket.objects.get(deletion.key);
          checkConditions(current?.head, deletion);
          if (deletion.onlyIfPrefixEmpty) checkPrefixEmpty(bucket, deletion.key);
          if (current) state.remove(bucket, deletion.key);
          state.locks.namesChanged({ type: 'delete', bucket: bucket.name, keys: [deletion.key] });
          return { deleted: current !== undefined };
        })
      ),

    deleteMany: (input, options) =>
      answer(deleteManySchema, input, options, ({ bucket: name, keys, requestId }) =>
        state.once(requestId, () => {
          const bucket = state.bucket(name);
          const found = [...new Set(keys)].filter((key) => bucket.objects.has(key));
          for (const key of found) state.remove(bucket, key);
          state.locks.namesChanged({ type: 'delete', bucket: name, keys: found });
          return { objectCount: found.length };
        })
      ),

    copy: (input, options) =>
      answer(copySchema, input, options, (copy) =>
        state.once(copy.requestId, () => {
          const source = state.object(state.bucket(copy.bucket), copy.key);
          const target = state.bucket(copy.to.bucket ?? copy.bucket);
          checkConditions(source.head, { ifMatch: copy.sourceIfMatch });
          checkConditions(target.objects.get(copy.to.key)?.head, copy);
          const { body, head } = source;
          return state.write(target, copy.to.key, { ...describe(head, copy), body, etag: head.etag });
        })
      ),

    rename: (input, options) =>
      answer(renameSchema, input, options, (rename) =>
        state.once(rename.requestId, () => {
          const bucket = state.bucket(rename.bucket);
          const { key, to } = rename;
          const source = state.object(bucket, key);
          if (rename.exchange) state.object(bucket, to.key);
          checkConditions(source.head, { ifMatch: rename.sourceIfMatch });
          checkConditions(bucket.objects.get(to.key)?.head, rename);
          const { attributes } = describe(source.head, { attributes: rename.attributes });
          const isExchange = (rename.exchange ?? false) && to.key !== key;
          state.locks.namesChanged({ type: 'rename', bucket: bucket.name, key, to: to.key, isExchange });
          if (isExchange) return state.exchange(bucket, key, to.key, attributes);
          return state.move(bucket, key, to.key, attributes);
        })
      ),

    compose: (input, options) =>
      answer(composeSchema, input, options, (compose) =>
        state.once(compose.requestId, () => {
          const bucket = state.bucket(compose.bucket);
          checkConditions(bucket.objects.get(compose.key)?.head, compose);
          const content = new MemoryContent();
          for (const source of compose.sources) {
            const { head, body } = state.object(bucket, source.key);
            checkConditions(head, { ifMatch: source.ifMatch });
            const offset = source.offset ?? 0;
            content.write(content.size, rangeOf(body, offset, source.length ?? body.length - offset));
          }
          return state.write(bucket, compose.key, {
            ...describe(NO_DESCRIPTION, compose),
            body: content.toBytes()
          });
        })
      ),

    renamePrefix: (input, options) =>
      answer(renamePrefixSchema, input, options, ({ bucket: name, prefix, to, requestId }) =>
        state.once(requestId, () => {
          const bucket = state.bucket(name);
          if (to.startsWith(prefix))
            throw new StoreError('InvalidArgument', `${prefix} cannot be renamed to ${to}, which lies in it`);
          checkPrefixEmpty(bucket, to);
          const keys = bucket.keys.withPrefix(prefix);
          const targets = keys.map((key) => to + key.slice(prefix.length));
          for (const target of targets) checkKey(target);
          for (const [index, key] of keys.entries()) state.moveQuietly(bucket, key, targets[index]!);
          if (keys.length > 0) state.changes.add(name, { type: 'renamePrefix', prefix, to });
          state.locks.namesChanged({ type: 'renamePrefix', bucket: name, prefix, to });
          return { objectCount: keys.length };
        })
      ),

    deletePrefix: (input, options) =>
      answer(deletePrefixSchema, input, options, ({ bucket: name, prefix, requestId }) =>
        state.once(requestId, () => {
          const bucket = state.bucket(name);
          const keys = bucket.keys.withPrefix(prefix);
          for (const key of keys) {
            bucket.objects.delete(key);
            bucket.keys.delete(key);
          }
          if (keys.length > 0) state.changes.add(name, { type: 'deletePrefix', prefix });
          state.locks.namesChanged({ type: 'deletePrefix', bucket: name, prefix });
          return { objectCount: keys.length };
        })
      ),

    setAttributes: (input, options) =>
      answer(setAttributesSchema, input, options, (change) =>
        state.once(change.requestId, () => {
          const bucket = state.bucket(change.bucket);
          const current = bucket.objects.get(change.key);
          checkConditions(current?.head, { ifMatch: change.ifMatch });
          const base = current ?? (change.create ? undefined : state.object(bucket, change.key));
          const description = describe(base?.head ?? NO_DESCRIPTION, change);
          const { xattrs = {}, ...attributes } = description.attributes;
          const kept = Object.entries(xattrs).filter(([name]) => !change.removeXattrs?.includes(name));
          return state.write(bucket, change.key, {
            ...description,
            attributes: { ...attributes, ...(kept.length > 0 && { xattrs: Object.fromEntries(kept) }) },
            body: base?.body ?? EMPTY,
            etag: base?.head.etag
          });
        })
      ),

    usage: (input, options) =>
      answer(usageSchema, input, options, ({ bucket, prefix }) => state.usage(state.bucket(bucket), prefix)),

    async *watch(input, { signal }) {
      const { bucket, prefix = '', resumeToken, lastEventId } = parse(watchSchema, input);
      state.bucket(bucket);
      yield* state.changes.watch({ bucket, prefix, resumeToken: resumeToken ?? lastEventId }, signal);
    }
  };
}

/** Bytes [offset, offset + length), which must all be there. */
export function rangeOf(body: Uint8Array, offset: number, length: number): Uint8Array {
  if (length < 0 || offset + length > body.length)
    throw new StoreError('InvalidRange', `the source has ${body.length} bytes; choose a range within them`);
  return body.subarray(offset, offset + length);
}

export function checkDigest(body: Uint8Array, expected: number | undefined): void {
  if (expected !== undefined && crc32c(body) !== expected)
    throw new StoreError('BadDigest', 'the body is not what its crc32c says; send it again');
}

function checkVersion(head: ObjectHead, versionId: string | undefined): void {
  if (versionId !== undefined && versionId !== head.versionId)
    throw new StoreError('NoSuchVersion', `${head.key} has no version ${versionId}`);
}

function checkPrefixEmpty(bucket: MemoryBucket, prefix: string): void {
  const other = bucket.keys.withPrefix(prefix).find((key) => key !== prefix);
  if (other !== undefined) throw new StoreError('PrefixNotEmpty', `${prefix} has other keys, as ${other}`);
}

function checkKey(key: string): void {
  if (Buffer.byteLength(key) > LIMITS.keyBytesMax)
    throw new StoreError('InvalidArgument', `${key} would be longer than ${LIMITS.keyBytesMax} bytes`);
}
