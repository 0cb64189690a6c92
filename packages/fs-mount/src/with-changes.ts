import type { PosixAttributes } from '@stampede/client';

/** Attributes with changes laid over them: a given field replaces, of the xattrs each one by itself. */
export function withChanges(
  attributes: PosixAttributes,
  changes: PosixAttributes,
  removedXattrs: ReadonlySet<string>
): PosixAttributes {
  if (changes.xattrs === undefined && removedXattrs.size === 0) return { ...attributes, ...changes };
  const xattrs = { ...attributes.xattrs, ...changes.xattrs };
  for (const name of removedXattrs) delete xattrs[name];
  return { ...attributes, ...changes, xattrs };
}
