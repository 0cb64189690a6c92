/**
 * A message as the other side gets it: nothing shared, absent and `undefined` fields the same, byte strings plain.
 * @throws TypeError for anything that is no message.
 */
export function wireCopy(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(wireCopy);
  if (typeof value === 'object') {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null)
      throw new TypeError('a message has plain values only');
    const copy: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(value)) if (field !== undefined) copy[name] = wireCopy(field);
    return copy;
  }
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
    throw new TypeError('a message has plain values only');
  return value;
}

/** Makes the byte strings of a message useless, as memory that was used again is. */
export function spoilBytes(value: unknown): void {
  if (value instanceof Uint8Array) value.fill(0xdd);
  else if (Array.isArray(value)) for (const one of value) spoilBytes(one);
  else if (typeof value === 'object' && value !== null)
    for (const one of Object.values(value)) spoilBytes(one);
}
