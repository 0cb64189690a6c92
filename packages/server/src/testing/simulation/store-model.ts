import { type Content, contentOf, digestOf, overwritten, sizeOf, truncated } from './content.js';

/* Calls on the few keys below one prefix, as a model has them: what each answers and leaves, one after the other. */

export type ModelCall =
  | { readonly type: 'put'; readonly key: string; readonly token: number; readonly length: number }
  | { readonly type: 'create'; readonly key: string; readonly token: number; readonly length: number }
  | {
      readonly type: 'putIf';
      readonly key: string;
      readonly token: number;
      readonly length: number;
      readonly generation: number;
    }
  | { readonly type: 'append'; readonly key: string; readonly token: number; readonly length: number }
  | {
      readonly type: 'overwrite';
      readonly key: string;
      readonly offset: number;
      readonly token: number;
      readonly length: number;
    }
  | { readonly type: 'truncate'; readonly key: string; readonly size: number }
  | { readonly type: 'upload'; readonly key: string; readonly token: number; readonly length: number }
  /** An upload that is never completed: nobody must see anything of it. */
  | { readonly type: 'abandon'; readonly key: string; readonly token: number; readonly length: number }
  | { readonly type: 'read' | 'head' | 'delete'; readonly key: string }
  | { readonly type: 'rename' | 'copy'; readonly key: string; readonly to: string }
  | { readonly type: 'renamePrefix'; readonly prefix: string; readonly to: string }
  | { readonly type: 'deletePrefix' | 'list'; readonly prefix: string };

export type ModelAnswer = string | number | boolean;

/** In the order of the keys. */
export type ModelState = readonly (readonly [key: string, generation: number, content: Content])[];

/** Of all objects. */
export function bytesOf(state: ModelState): number {
  return state.reduce((sum, [, , content]) => sum + sizeOf(content), 0);
}

/** Whether it changes nothing. */
export function isRead({ type }: ModelCall): boolean {
  return type === 'read' || type === 'head' || type === 'list' || type === 'abandon';
}

/** Whether two calls do and answer the same in either order, whatever the state. */
export function areIndependent(a: ModelCall, b: ModelCall): boolean {
  if (isRead(a) && isRead(b)) return true;
  return !areasOf(a).some((one) => areasOf(b).some((other) => isOverlap(one, other)));
}

/** Keys that a call looks at or changes: one, or all below a prefix. */
interface Area {
  readonly start: string;
  readonly isPrefix: boolean;
}

function areasOf(call: ModelCall): readonly Area[] {
  switch (call.type) {
    case 'rename':
    case 'copy':
      return [
        { start: call.key, isPrefix: false },
        { start: call.to, isPrefix: false }
      ];
    case 'renamePrefix':
      return [
        { start: call.prefix, isPrefix: true },
        { start: call.to, isPrefix: true }
      ];
    case 'deletePrefix':
    case 'list':
      return [{ start: call.prefix, isPrefix: true }];
    case 'abandon':
      return [];
    default:
      return [{ start: call.key, isPrefix: false }];
  }
}

function isOverlap(a: Area, b: Area): boolean {
  if (a.start === b.start) return true;
  return (a.isPrefix && b.start.startsWith(a.start)) || (b.isPrefix && a.start.startsWith(b.start));
}

interface Stored {
  readonly generation: number;
  readonly content: Content;
}

/** One call on a state. */
export function stepModel(
  state: ModelState,
  call: ModelCall
): { readonly state: ModelState; readonly answer: ModelAnswer } {
  const objects = new Map<string, Stored>(
    state.map(([key, generation, content]) => [key, { generation, content }])
  );
  const answer = change(objects, call);
  if (isRead(call)) return { state, answer };
  const next = [...objects].map(([key, { generation, content }]) => [key, generation, content] as const);
  return { state: next.sort(([a], [b]) => (a < b ? -1 : 1)), answer };
}

function change(objects: Map<string, Stored>, call: ModelCall): ModelAnswer {
  const write = (key: string, content: Content): number => {
    const generation = (objects.get(key)?.generation ?? 0) + 1;
    objects.set(key, { generation, content });
    return generation;
  };
  const below = (prefix: string): string[] =>
    [...objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  switch (call.type) {
    case 'put':
    case 'upload':
      return write(call.key, contentOf(call.token, call.length));
    case 'abandon':
      return true;
    case 'create':
      return objects.has(call.key)
        ? 'PreconditionFailed'
        : write(call.key, contentOf(call.token, call.length));
    case 'putIf':
      return objects.get(call.key)?.generation === call.generation
        ? write(call.key, contentOf(call.token, call.length))
        : 'PreconditionFailed';
    case 'append': {
      const content = objects.get(call.key)?.content ?? '';
      return write(call.key, overwritten(content, sizeOf(content), call.token, call.length));
    }
    case 'overwrite': {
      const found = objects.get(call.key);
      if (!found) return 'NoSuchKey';
      return write(call.key, overwritten(found.content, call.offset, call.token, call.length));
    }
    case 'truncate': {
      const found = objects.get(call.key);
      return found ? write(call.key, truncated(found.content, call.size)) : 'NoSuchKey';
    }
    case 'read':
    case 'head': {
      const found = objects.get(call.key);
      if (!found) return 'NoSuchKey';
      return call.type === 'read'
        ? `${found.generation} ${digestOf(found.content)}`
        : `${found.generation} ${sizeOf(found.content)}`;
    }
    case 'delete':
      return objects.delete(call.key);
    case 'rename': {
      const found = objects.get(call.key);
      if (!found) return 'NoSuchKey';
      objects.delete(call.key);
      return write(call.to, found.content);
    }
    case 'copy': {
      const found = objects.get(call.key);
      return found ? write(call.to, found.content) : 'NoSuchKey';
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
      return below(call.prefix)
        .map((key) => `${key} ${objects.get(key)!.generation}`)
        .join(', ');
  }
}
