import { LIMITS, type PosixAttributes } from '@stampede/client';
import { FileSystemError } from './errno.js';

/** Names and values of one file together; the rest of the record needs room too. */
const XATTR_BYTES_MAX = LIMITS.objectMetadataBytesMax / 2;

export interface XattrChange {
  readonly name: string;
  readonly value: Uint8Array;
  readonly mode: 'any' | 'create' | 'replace';
}

/** Access lists and labels would have to be obeyed; a system that keeps but ignores them is worse than one without. */
const UNSUPPORTED_NAME = /^(system\.|security\.selinux$)/;

/** As getxattr(2): fails with `ENODATA` when there is none of the name, `ENOTSUP` when there never is. */
export function getXattr(attributes: PosixAttributes, name: string): Uint8Array {
  const value = findXattr(attributes, name);
  if (!value) throw new FileSystemError('ENODATA', `no extended attribute ${name}`);
  return value;
}

/** The change that setxattr(2) asks for, or its error. */
export function xattrChange(
  attributes: PosixAttributes,
  { name, value, mode }: XattrChange
): PosixAttributes {
  const exists = findXattr(attributes, name) !== undefined;
  if (mode === 'create' && exists) throw new FileSystemError('EEXIST', `${name} is set already`);
  if (mode === 'replace' && !exists) throw new FileSystemError('ENODATA', `${name} is not set`);
  const others = Object.entries(attributes.xattrs ?? {}).filter(([other]) => other !== name);
  const bytes = others.reduce((sum, [other, { byteLength }]) => sum + other.length + byteLength, 0);
  if (bytes + name.length + value.byteLength > XATTR_BYTES_MAX)
    throw new FileSystemError('ENOSPC', `extended attributes have at most ${XATTR_BYTES_MAX} bytes together`);
  // A copy, which the slice of a Buffer is not: the caller's bytes are those of one request.
  return { xattrs: { [name]: new Uint8Array(value) } };
}

/** Undefined when there is none of the name; fails with `ENOTSUP` when there never is. */
export function findXattr(attributes: PosixAttributes, name: string): Uint8Array | undefined {
  // `ls -l` asks every file for these, unless it learns that a whole drive has none.
  if (UNSUPPORTED_NAME.test(name))
    throw new FileSystemError('ENOTSUP', 'access control lists and security labels are not supported');
  const { xattrs } = attributes;
  return xattrs !== undefined && Object.hasOwn(xattrs, name) ? xattrs[name] : undefined;
}
