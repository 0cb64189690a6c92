import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { LIMITS } from '@stampede/client';
import { FileSystemError } from './errno.js';

/*
 * Paths of the drive and keys of the bucket. A path without its leading slash is the key, byte for byte. Keys that no
 * path can spell are shown under escaped names, one component at a time:
 *
 *   %=empty           the empty component in `a//b`
 *   %=dot, %=dotdot   the components `.` and `..`
 *   %=marker          the key `a/` itself where it has bytes, as a file in the directory `a`
 *   %=file=NAME       the key `a` where keys `a/…` exist as well: the directory is `a`, the file `%=file=a`
 *   %=nul=HEX         a component with a NUL, its UTF-8 in hexadecimal
 *   %=bytes=NAME      a name that is not UTF-8, its bytes above 127 and `%` as `%XX`; a driver that is given bytes
 *                     writes and reads it, see `nameOfBytes`
 *   %=raw=NAME        a component that would otherwise be read as one of these
 *   %=raw=.stampede   `.stampede` in the root of a mount, where that name is the mount's own
 *   %=long=HASH=HEAD  a component of more than 255 bytes: found again by listing the keys that start with HEAD
 */

export const COMPONENT_BYTES_MAX = 255;
/** In the root of a mount: what the mount says of itself. */
export const MONITOR_NAME = '.stampede';
const INTRODUCER = '%=';
const BYTES_INTRODUCER = '%=bytes=';
const PERCENT = 0x25;
const LONG_HEAD_BYTES_MAX = 160;
const UNDECODABLE = '\ufffd';

/** What a name of a directory stands for. `long` has to be looked up among the keys that start with `head`. */
export type Component =
  | { readonly type: 'plain'; readonly name: string }
  | { readonly type: 'file'; readonly name: string }
  | { readonly type: 'marker' }
  | { readonly type: 'long'; readonly head: string; readonly hash: string };

export function parseComponent(text: string): Component {
  if (!text.startsWith(INTRODUCER)) return { type: 'plain', name: text };
  const rest = text.slice(INTRODUCER.length);
  if (rest === 'empty') return { type: 'plain', name: '' };
  if (rest === 'dot') return { type: 'plain', name: '.' };
  if (rest === 'dotdot') return { type: 'plain', name: '..' };
  if (rest === 'marker') return { type: 'marker' };
  if (rest.startsWith('raw=')) return { type: 'plain', name: rest.slice(4) };
  if (rest.startsWith('file=')) return { type: 'file', name: rest.slice(5) };
  if (/^nul=([0-9a-f]{2})+$/.test(rest))
    return { type: 'plain', name: Buffer.from(rest.slice(4), 'hex').toString() };
  const long = /^long=([0-9a-f]{24})=(.*)$/s.exec(rest);
  if (long) return { type: 'long', hash: long[1]!, head: long[2]! };
  return { type: 'plain', name: text };
}

/** A name as the kernel has it. Keys are Unicode: bytes that are not get a name that says them. */
export function nameOfBytes(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  let name = BYTES_INTRODUCER;
  for (const byte of bytes)
    name += byte > 127 || byte === PERCENT ? `%${hexOf(byte)}` : String.fromCharCode(byte);
  return name;
}

/** The inverse of `nameOfBytes`; names that it would not have made are what they are. */
export function bytesOfName(name: string): Buffer {
  return findBytes(name) ?? Buffer.from(name);
}

/** Whether the name stands for one that is not UTF-8. */
export function isBytesName(name: string): boolean {
  return findBytes(name) !== undefined;
}

/** The name under which a directory shows a component of a key; the inverse of `parseComponent`. */
export function formatComponent(component: Component): string {
  if (component.type === 'marker') return `${INTRODUCER}marker`;
  if (component.type === 'long') return `${INTRODUCER}long=${component.hash}=${component.head}`;
  const { name } = component;
  const shown = component.type === 'file' ? `${INTRODUCER}file=${name}` : formatPlain(name);
  // A character is at most three bytes per UTF-16 unit, so only long names need counting.
  if (shown.length * 3 <= COMPONENT_BYTES_MAX || bytesOfName(shown).byteLength <= COMPONENT_BYTES_MAX) {
    if (!name.includes('\0')) return shown;
    const hex = `${INTRODUCER}nul=${Buffer.from(name).toString('hex')}`;
    if (component.type === 'plain' && hex.length <= COMPONENT_BYTES_MAX) return hex;
  }
  return formatComponent({ type: 'long', hash: longHash(component), head: headOf(name) });
}

/** The name under which the root of a mount shows what any other directory shows as `name`. */
export function nameInRoot(name: string): string {
  return name === MONITOR_NAME ? `${INTRODUCER}raw=${name}` : name;
}

/** Tells one long component from another with the same head. */
export function longHash(component: { readonly type: 'plain' | 'file'; readonly name: string }): string {
  return createHash('sha256').update(`${component.type}\0${component.name}`).digest('hex').slice(0, 24);
}

/** The components of an absolute path; `/` has none. */
export function componentsOf(path: string): readonly string[] {
  return path === '/' || path === '' ? [] : path.slice(1).split('/');
}

export function parentPath(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The prefix of the keys in the directory that holds `key`: '' or ending in a slash. */
export function directoryPrefixOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/** Refuses names that could not be found again; only for names a program makes up, not for those that exist. */
export function assertUsableName(path: string, key: string): void {
  if (bytesOfName(baseName(path)).byteLength > COMPONENT_BYTES_MAX)
    throw new FileSystemError('ENAMETOOLONG', `a name has at most ${COMPONENT_BYTES_MAX} bytes`);
  if (Buffer.byteLength(key) >= LIMITS.keyBytesMax)
    throw new FileSystemError(
      'ENAMETOOLONG',
      `a path in the bucket has less than ${LIMITS.keyBytesMax} bytes`
    );
  // Bytes that are not UTF-8 arrive as this character: two such names would become one and lose a file.
  if (key.includes(UNDECODABLE) || !key.isWellFormed())
    throw new FileSystemError('EILSEQ', 'names in a bucket are UTF-8; rename the file first');
}

function findBytes(name: string): Buffer | undefined {
  if (!name.startsWith(BYTES_INTRODUCER)) return undefined;
  const text = name.slice(BYTES_INTRODUCER.length);
  const said = text.replaceAll(/%([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16))
  );
  const bytes = Buffer.from(said, 'latin1');
  return nameOfBytes(bytes) === name ? bytes : undefined;
}

function hexOf(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

function formatPlain(name: string): string {
  if (name === '') return `${INTRODUCER}empty`;
  if (name === '.') return `${INTRODUCER}dot`;
  if (name === '..') return `${INTRODUCER}dotdot`;
  const isMisread = name.startsWith(INTRODUCER) && !isPlain(parseComponent(name), name);
  return isMisread ? `${INTRODUCER}raw=${name}` : name;
}

function isPlain(component: Component, name: string): boolean {
  return component.type === 'plain' && component.name === name;
}

function headOf(name: string): string {
  const end = name.indexOf('\0');
  let head = end < 0 ? name : name.slice(0, end);
  while (Buffer.byteLength(head) > LONG_HEAD_BYTES_MAX || !head.isWellFormed()) head = head.slice(0, -1);
  return head;
}
