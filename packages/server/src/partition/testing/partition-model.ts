import assert from 'node:assert';
import type { Random } from '../../platform/index.js';
import type { EmbeddedPartitionLayer } from '../embedded-partition-layer.js';

export interface ModelUpload {
  readonly key: string;
  readonly content: Buffer;
  readonly parts: ReadonlyMap<number, Buffer>;
}

/** What one caller's keys and uploads hold. */
export interface ModelState {
  readonly objects: ReadonlyMap<string, Buffer>;
  readonly uploads: ReadonlyMap<string, ModelUpload>;
}

export interface ModelMutation {
  readonly name: string;
  /** Makes the call; what it gives is handed to `after`. */
  readonly run: (layer: EmbeddedPartitionLayer) => Promise<unknown>;
  readonly after: (answer: unknown) => ModelState;
  /** Whether making it again gives the same, since it has a request id. */
  readonly isRepeatable: boolean;
}

interface ModelContext {
  readonly bucket: string;
  readonly prefix: string;
  readonly state: ModelState;
  readonly random: Random;
}

const LARGE_BYTES = 4 * 1024 * 1024 + 1000;
const SIZES = [0, 1, 100, 3000, 3000, 20_000, 70_000];

/** A call on the keys of one caller, with what it does to them. */
export function randomMutation({ bucket, prefix, state, random }: ModelContext): ModelMutation {
  const int = (count: number): number => Math.floor(random.fraction() * count);
  const pick = <Item>(items: readonly Item[]): Item => items[int(items.length)]!;
  const bytes = (): Buffer => {
    const length = random.fraction() < 0.02 ? LARGE_BYTES + int(100) : pick(SIZES);
    const salt = int(251);
    return Buffer.alloc(length, Buffer.from(Array.from({ length: 251 }, (_, at) => (at + salt) % 251)));
  };
  const requestId = random.fraction() < 0.5 ? random.uuid() : undefined;
  const given = { bucket, ...(requestId !== undefined && { requestId }) };
  const isRepeatable = requestId !== undefined;
  const folder = (): string => `${prefix}${pick(['a/', 'b/', 'c/d/'])}`;
  const key = (): string => `${folder()}${int(4)}`;
  const known = (): string => (state.objects.size > 0 ? pick([...state.objects.keys()]) : key());
  const set = (changes: ReadonlyMap<string, Buffer | undefined>): ModelState => {
    const objects = new Map(state.objects);
    for (const [name, content] of changes)
      if (content) objects.set(name, content);
      else objects.delete(name);
    return { ...state, objects };
  };
  const putUpload = (uploadId: string, upload: ModelUpload | undefined, from = state): ModelState => {
    const uploads = new Map(from.uploads);
    if (upload) uploads.set(uploadId, upload);
    else uploads.delete(uploadId);
    return { ...from, uploads };
  };
  const put = (): ModelMutation => {
    const name = key();
    const body = bytes();
    return {
      name: `put ${name}`,
      run: (layer) => layer.objects.put({ ...given, key: name, body }),
      after: () => set(new Map([[name, body]])),
      isRepeatable
    };
  };
  const edit = (): ModelMutation => {
    const name = known();
    const before = state.objects.get(name) ?? Buffer.alloc(0);
    const body = bytes().subarray(0, 30_000);
    const offset = int(before.length + 2000);
    const size = int(before.length + body.length + 100);
    const punch = { offset: int(size + 1), length: 1 + int(5000) };
    const kind = int(3);
    const steps = [
      { type: 'write' as const, length: body.length, ...(kind > 0 && { offset }) },
      ...(kind > 1
        ? [
            { type: 'truncate' as const, size },
            { type: 'punch' as const, ...punch }
          ]
        : [])
    ];
    let content = laid(before, kind > 0 ? offset : before.length, body);
    if (kind > 1) content = punched(sized(content, size), punch.offset, punch.length);
    return {
      name: `edit ${name} ${kind}`,
      run: (layer) => layer.objects.edit({ ...given, key: name, steps, body, create: true }),
      after: () => set(new Map([[name, content]])),
      isRepeatable
    };
  };
  const remove = (): ModelMutation => {
    const name = known();
    return {
      name: `delete ${name}`,
      run: (layer) => layer.objects.delete({ ...given, key: name }),
      after: () => set(new Map([[name, undefined]])),
      isRepeatable
    };
  };
  const copy = (): ModelMutation => {
    const from = known();
    const to = key();
    const content = state.objects.get(from);
    if (!content) return put();
    return {
      name: `copy ${from} ${to}`,
      run: (layer) => layer.objects.copy({ ...given, key: from, to: { key: to } }),
      after: () => set(new Map([[to, content]])),
      isRepeatable
    };
  };
  const rename = (): ModelMutation => {
    const from = known();
    const to = key();
    const content = state.objects.get(from);
    if (!content) return put();
    return {
      name: `rename ${from} ${to}`,
      run: (layer) => layer.objects.rename({ ...given, key: from, to: { key: to } }),
      after: () =>
        set(
          new Map([
            [from, undefined],
            [to, content]
          ])
        ),
      isRepeatable
    };
  };
  const setAttributes = (): ModelMutation => {
    const name = known();
    const content = state.objects.get(name) ?? Buffer.alloc(0);
    return {
      name: `setAttributes ${name}`,
      run: (layer) =>
        layer.objects.setAttributes({
          ...given,
          key: name,
          attributes: { mode: 0o600 + int(8) },
          create: true
        }),
      after: () => set(new Map([[name, content]])),
      isRepeatable
    };
  };
  const prefixChange = (): ModelMutation => {
    const from = folder();
    const below = [...state.objects].filter(([name]) => name.startsWith(from));
    if (random.fraction() < 0.5)
      return {
        name: `deletePrefix ${from}`,
        run: (layer) => layer.objects.deletePrefix({ ...given, prefix: from }),
        after: () => set(new Map(below.map(([name]) => [name, undefined]))),
        isRepeatable
      };
    const to = `${prefix}${pick(['e/', 'f/g/', 'c/'])}`;
    if (to === from || from.startsWith(to) || [...state.objects.keys()].some((name) => name.startsWith(to)))
      return put();
    return {
      name: `renamePrefix ${from} ${to}`,
      run: (layer) => layer.objects.renamePrefix({ ...given, prefix: from, to }),
      after: () =>
        set(
          new Map<string, Buffer | undefined>([
            ...below.map(([name]) => [name, undefined] as const),
            ...below.map(([name, content]) => [to + name.slice(from.length), content] as const)
          ])
        ),
      isRepeatable
    };
  };
  const upload = (): ModelMutation => {
    const begun = [...state.uploads];
    if (begun.length === 0 || (begun.length < 3 && random.fraction() < 0.2)) {
      const name = key();
      const from = random.fraction() < 0.4 && state.objects.size > 0 ? known() : undefined;
      // Laid over what the key holds at the end only when nothing changes it meanwhile, hence from other keys.
      const source = from === name ? undefined : from;
      const content = source === undefined ? Buffer.alloc(0) : (state.objects.get(source) ?? Buffer.alloc(0));
      return {
        name: `create upload ${name}`,
        run: (layer) =>
          layer.uploads.create({
            ...given,
            key: name,
            ...(source !== undefined && { from: { key: source } })
          }),
        after: (answer) =>
          putUpload((answer as { uploadId: string }).uploadId, { key: name, content, parts: new Map() }),
        isRepeatable
      };
    }
    const [uploadId, current] = pick(begun);
    const target = { ...given, key: current.key, uploadId };
    const kind = int(6);
    if (kind === 0) {
      const offset = int(current.content.length + 1000);
      const body = bytes();
      return {
        name: `write upload ${uploadId}`,
        run: (layer) => layer.uploads.write({ ...target, offset, body }),
        after: () => putUpload(uploadId, { ...current, content: laid(current.content, offset, body) }),
        isRepeatable
      };
    }
    if (kind === 1) {
      const partNumber = 1 + int(2);
      const body = bytes();
      return {
        name: `part of upload ${uploadId}`,
        run: (layer) => layer.uploads.putPart({ ...target, partNumber, body }),
        after: () =>
          putUpload(uploadId, { ...current, parts: new Map([...current.parts, [partNumber, body]]) }),
        isRepeatable
      };
    }
    if (kind === 2) {
      const from = known();
      const source = state.objects.get(from);
      if (!source?.length) return put();
      const offset = int(current.content.length + 10);
      return {
        name: `copy range to upload ${uploadId}`,
        run: (layer) =>
          layer.uploads.copyRange({
            ...target,
            offset,
            source: { key: from, offset: 0, length: source.length }
          }),
        after: () => putUpload(uploadId, { ...current, content: laid(current.content, offset, source) }),
        isRepeatable
      };
    }
    if (kind === 3)
      return {
        name: `abort upload ${uploadId}`,
        run: (layer) => layer.uploads.abort(target),
        after: () => putUpload(uploadId, undefined),
        isRepeatable
      };
    const part = kind === 4 ? [...current.parts].at(0) : undefined;
    const content = part ? part[1] : current.content;
    return {
      name: `complete upload ${uploadId}`,
      run: (layer) =>
        layer.uploads.complete({ ...target, ...(part && { parts: [{ partNumber: part[0] }] }) }),
      after: () => putUpload(uploadId, undefined, set(new Map([[current.key, content]]))),
      isRepeatable
    };
  };
  return pick([
    put,
    put,
    put,
    edit,
    edit,
    remove,
    copy,
    rename,
    setAttributes,
    prefixChange,
    upload,
    upload,
    upload
  ])();
}

/** Everything that the store has of one caller. */
export async function readObjects(
  layer: EmbeddedPartitionLayer,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string }
): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const { objects } = await layer.objects.list({ bucket, prefix });
  for (const { key, size } of objects) {
    const { body } = await layer.objects.read({ bucket, key });
    assert.equal(body.byteLength, size, `${key} has as many bytes as its head says`);
    found.set(key, Buffer.from(body));
  }
  return found;
}

export function isSame(found: ReadonlyMap<string, Buffer>, expected: ReadonlyMap<string, Buffer>): boolean {
  if (found.size !== expected.size) return false;
  for (const [key, content] of expected) if (!found.get(key)?.equals(content)) return false;
  return true;
}

function sized(content: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size);
  content.copy(result);
  return result;
}

function laid(content: Buffer, offset: number, body: Buffer): Buffer {
  if (body.length === 0) return content;
  const result = sized(content, Math.max(content.length, offset + body.length));
  body.copy(result, offset);
  return result;
}

function punched(content: Buffer, offset: number, length: number): Buffer {
  const result = Buffer.from(content);
  result.fill(0, Math.min(offset, content.length), Math.min(offset + length, content.length));
  return result;
}
