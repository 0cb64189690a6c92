import { EXTENT_DIRECTORY } from './machine.js';
import type { MetaCore } from './meta-core.js';

/* The stream manager's rows, read by who does not trust it. */

export interface ExtentRow {
  readonly state: 'open' | 'sealing' | 'sealed';
  readonly length?: number;
  readonly ownerEpoch: number;
  readonly replicas: readonly string[];
  readonly unconfirmed: readonly string[];
  /** Replicas that are known to be damaged or missing. */
  readonly damaged?: readonly string[];
  readonly isDamaged?: boolean;
}

export interface ListRow {
  readonly epoch: number;
  readonly extentIds: readonly number[];
}

export interface RangeRow {
  readonly startKey: string;
  readonly endKey: string;
  readonly epoch: number;
  readonly owner: string;
}

export const EXTENT_ROWS = 'streams/extent/';
export const LIST_ROWS = 'streams/list/';
export const RANGE_ROWS = '/partitions/';

export function extentPath(extentId: number): string {
  return `${EXTENT_DIRECTORY}/${String(extentId).padStart(16, '0')}.extent`;
}

export function findExtentRow(core: MetaCore, extentId: number): ExtentRow | undefined {
  return decodeRow<ExtentRow>(core.find(EXTENT_ROWS + String(extentId).padStart(16, '0')));
}

export function extentIdOf(key: string): number {
  return Number(key.slice(EXTENT_ROWS.length));
}

/** The stream that lists an extent. */
export function findListOf(core: MetaCore, extentId: number): ListRow | undefined {
  const lists = core.range(LIST_ROWS).entries.map((entry) => decodeRow<ListRow>(entry)!);
  return lists.find(({ extentIds }) => extentIds.includes(extentId));
}

/** Extents that some stream lists; of those streams whose names fit. */
export function listedExtents(core: MetaCore, isWanted = (_name: string) => true): readonly number[] {
  const lists = core.range(LIST_ROWS).entries.filter(({ key }) => isWanted(key));
  return lists.flatMap((entry) => decodeRow<ListRow>(entry)!.extentIds);
}

/** Rows are read far more often than written; a value of the meta store never changes. */
const decoded = new WeakMap<Uint8Array, unknown>();

export function decodeRow<Row>(entry: { readonly value: Uint8Array } | undefined): Row | undefined {
  if (!entry) return undefined;
  let row = decoded.get(entry.value);
  if (row === undefined) {
    row = JSON.parse(Buffer.from(entry.value).toString());
    decoded.set(entry.value, row);
  }
  return row as Row;
}
