import { isStoreError, type StoreCalls } from '@stampede/client';
import type { Model } from './linearizability.js';

/* Calls on a few keys of one bucket, as they are made on a store and as a model has them. */

export type StoreCall =
  | { readonly type: 'put' | 'append'; readonly key: string; readonly value: string }
  | { readonly type: 'putIf'; readonly key: string; readonly value: string; readonly generation: number }
  | { readonly type: 'create'; readonly key: string; readonly value: string }
  | { readonly type: 'read' | 'delete'; readonly key: string }
  | { readonly type: 'rename'; readonly key: string; readonly to: string }
  | { readonly type: 'renamePrefix'; readonly prefix: string; readonly to: string }
  | { readonly type: 'deletePrefix'; readonly prefix: string }
  | { readonly type: 'list' };

export type StoreAnswer = string | number | boolean | readonly string[];

/** Key to [generation, value]; in the order of the keys. */
export type StoreState = readonly (readonly [key: string, generation: number, value: string])[];

export const storeModel: Model<StoreState, StoreCall, StoreAnswer> = { initial: [], step };

function step(state: StoreState, call: StoreCall): { state: StoreState; answer: StoreAnswer } {
  const objects = new Map(state.map(([key, generation, value]) => [key, { generation, value }]));
  const answer = change(objects, call);
  const next = [...objects].map(([key, { generation, value }]) => [key, generation, value] as const);
  return { state: next.sort(([a], [b]) => (a < b ? -1 : 1)), answer };
}

type Objects = Map<string, { readonly generation: number; readonly value: string }>;

function change(objects: Objects, call: StoreCall): StoreAnswer {
  const write = (key: string, value: string): number => {
    const generation = (objects.get(key)?.generation ?? 0) + 1;
    objects.set(key, { generation, value });
    return generation;
  };
  const below = (prefix: string) => [...objects.keys()].filter((key) => key.startsWith(prefix));
  switch (call.type) {
    case 'put':
      return write(call.key, call.value);
    case 'append':
      return write(call.key, (objects.get(call.key)?.value ?? '') + call.value);
    case 'putIf':
      return objects.get(call.key)?.generation === call.generation
        ? write(call.key, call.value)
        : 'PreconditionFailed';
    case 'create':
      return objects.has(call.key) ? 'PreconditionFailed' : write(call.key, call.value);
    case 'read': {
      const found = objects.get(call.key);
      return found ? `${found.generation}:${found.value}` : 'NoSuchKey';
    }
    case 'delete':
      return objects.delete(call.key);
    case 'rename': {
      const found = objects.get(call.key);
      if (!found) return 'NoSuchKey';
      if (call.to !== call.key) objects.delete(call.key);
      return write(call.to, found.value);
    }
    case 'renamePrefix': {
      if (below(call.to).length > 0) return 'PrefixNotEmpty';
      const keys = below(call.prefix);
      for (const key of keys) {
        objects.set(call.to + key.slice(call.prefix.length), objects.get(key)!);
        objects.delete(key);
      }
      return keys.length;
    }
    case 'deletePrefix': {
      const keys = below(call.prefix);
      for (const key of keys) objects.delete(key);
      return keys.length;
    }
    case 'list':
      return [...objects].map(([key, { generation }]) => `${key}:${generation}`).sort();
  }
}

/** Makes a call; an expected refusal is its answer too. @throws StoreError any other. */
export async function makeCall(
  { objects }: Pick<StoreCalls, 'objects'>,
  bucket: string,
  call: StoreCall
): Promise<StoreAnswer> {
  try {
    return await made(objects, bucket, call);
  } catch (error) {
    if (isStoreError(error, 'NoSuchKey', 'PreconditionFailed', 'PrefixNotEmpty')) return error.code;
    throw error;
  }
}

async function made(objects: StoreCalls['objects'], bucket: string, call: StoreCall): Promise<StoreAnswer> {
  switch (call.type) {
    case 'put':
      return (await objects.put({ bucket, key: call.key, body: Buffer.from(call.value) })).generation;
    case 'append': {
      const body = Buffer.from(call.value);
      const steps = [{ type: 'write' as const, length: body.length }];
      return (await objects.edit({ bucket, key: call.key, steps, body, create: true })).generation;
    }
    case 'putIf': {
      const ifMatch = `generation:${call.generation}`;
      const body = Buffer.from(call.value);
      return (await objects.put({ bucket, key: call.key, body, ifMatch })).generation;
    }
    case 'create': {
      const body = Buffer.from(call.value);
      return (await objects.put({ bucket, key: call.key, body, ifNoneMatch: '*' })).generation;
    }
    case 'read': {
      const { head, body } = await objects.read({ bucket, key: call.key });
      return `${head.generation}:${Buffer.from(body).toString()}`;
    }
    case 'delete':
      return (await objects.delete({ bucket, key: call.key })).deleted;
    case 'rename':
      return (await objects.rename({ bucket, key: call.key, to: { key: call.to } })).generation;
    case 'renamePrefix':
      return (await objects.renamePrefix({ bucket, prefix: call.prefix, to: call.to })).objectCount;
    case 'deletePrefix':
      return (await objects.deletePrefix({ bucket, prefix: call.prefix })).objectCount;
    case 'list': {
      const { objects: heads } = await objects.list({ bucket });
      return heads.map(({ key, generation }) => `${key}:${generation}`).sort();
    }
  }
}
