import { UsageError } from './usage-error.js';

const PORT_MAX = 65_535;
const ID_MAX = 0xffff_fffe;
const JOBS_MAX = 256;
const NODES_MAX = 64;
/** What a timer can wait. */
const SECONDS_MAX = 2_000_000;

export function parsePort(text: string): number {
  return parseInteger(text, { what: 'port', min: 0, max: PORT_MAX });
}

/** A user or group id. */
export function parseId(text: string): number {
  return parseInteger(text, { what: 'numeric id', min: 0, max: ID_MAX });
}

export function parseNodeCount(text: string): number {
  return parseInteger(text, { what: 'number of nodes', min: 1, max: NODES_MAX });
}

/** A number of something that is counted from 0. */
export function parseCount(text: string): number {
  return parseInteger(text, { what: 'count', min: 0, max: Number.MAX_SAFE_INTEGER });
}

/** A duration in whole seconds; gives milliseconds. */
export function parseSeconds(text: string): number {
  return 1000 * parseInteger(text, { what: 'number of seconds', min: 1, max: SECONDS_MAX });
}

/** How many things to do at once. */
export function parseJobs(text: string): number {
  return parseInteger(text, { what: 'number of jobs', min: 1, max: JOBS_MAX });
}

/** Permission bits in octal, as umask(1) takes them. */
export function parseUmask(text: string): number {
  if (!/^0?[0-7]{1,3}$/.test(text)) throw new UsageError(`"${text}" is no umask; write it in octal, as 022`);
  return Number.parseInt(text, 8);
}

/** @returns A parser that takes exactly these words. */
export function parseOneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new UsageError(`"${text}" is none of ${words.join(', ')}`);
    return found;
  };
}

export function parseTag(text: string): readonly [string, string] {
  const end = text.indexOf('=');
  if (end < 1) throw new UsageError(`"${text}" is no tag; write NAME=VALUE`);
  return [text.slice(0, end), text.slice(end + 1)];
}

function parseInteger(
  text: string,
  { what, min, max }: { readonly what: string; readonly min: number; readonly max: number }
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw new UsageError(`"${text}" is no ${what}; write a number from ${min} to ${max}`);
  return value;
}
