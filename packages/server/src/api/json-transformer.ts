/**
 * How values travel over the standard JSON transports (HTTP, WebSocket): as JSON, with each `Uint8Array` as
 * `{ "$bytes": base64 }`. The framed transport and the in-process caller do not use it: there bytes stay bytes.
 */
export const jsonTransformer = {
  serialize: (value: unknown): unknown => map(value, toJson),
  deserialize: (value: unknown): unknown => map(value, fromJson)
};

type Replace = (value: object) => { readonly replacement: unknown } | undefined;

function map(value: unknown, replace: Replace): unknown {
  if (value === null || typeof value !== 'object') return value;
  const replaced = replace(value);
  if (replaced) return replaced.replacement;
  if (Array.isArray(value)) return value.map((element) => map(element, replace));
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, map(field, replace)]));
}

const toJson: Replace = (value) =>
  value instanceof Uint8Array
    ? {
        replacement: {
          $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
        }
      }
    : undefined;

const fromJson: Replace = (value) =>
  '$bytes' in value && typeof value.$bytes === 'string' && Object.keys(value).length === 1
    ? { replacement: new Uint8Array(Buffer.from(value.$bytes, 'base64')) }
    : undefined;
