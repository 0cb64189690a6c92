import type { MetaEntry } from '../../coordination/index.js';
import { AppendLedger } from './append-ledger.js';
import { EXTENT_DIRECTORY, type Machine } from './machine.js';
import { keyOf, type MetaCommit, type MetaCore } from './meta-core.js';
import type { NetworkObserver, SeenAnswer, SeenCall } from './network.js';
import {
  decodeRow,
  EXTENT_ROWS,
  type ExtentRow,
  extentIdOf,
  extentPath,
  findExtentRow,
  LIST_ROWS,
  type ListRow,
  listedExtents,
  RANGE_ROWS,
  type RangeRow
} from './stream-rows.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

export interface InvariantsOptions {
  readonly world: World;
  readonly core: MetaCore;
  readonly machines: ReadonlyMap<string, Machine>;
}

const CHECK_MS = 5000;
const HEADER_BYTES = 4096;

/**
 * What must hold whatever fails, judged on the disks, the meta store and the messages themselves: the code under test is
 * not asked. Cheap checks at every step, those that read disks every few seconds.
 */
export class Invariants implements NetworkObserver {
  readonly ledger: AppendLedger;
  readonly #options: InvariantsOptions;
  /** Bytes that were damaged on purpose, by machine and extent. */
  readonly #rotten = new Map<string, Set<number>>();
  /** Replicas whose disk was replaced, by machine and extent. */
  readonly #lost = new Set<string>();

  constructor(options: InvariantsOptions) {
    this.#options = options;
    this.ledger = new AppendLedger({
      ...options,
      rottenOf: (member, extentId) => this.#rotten.get(`${member} ${extentId}`) ?? NONE,
      isLost: (member, extentId) => this.#lost.has(`${member} ${extentId}`)
    });
    options.core.onCommit((commit, before) => this.#onCommit(commit, before));
    this.#checkLater();
  }

  onArrived(call: SeenCall): void {
    this.ledger.onArrived(call);
  }

  onAnswered(call: SeenCall, answer: SeenAnswer): void {
    this.ledger.onAnswered(call, answer);
    if (answer.ok && call.path.startsWith('partition.')) this.#requireOwner(call);
  }

  onHeard(call: SeenCall, answer: SeenAnswer): void {
    this.ledger.onHeard(call, answer);
  }

  /** I9, for what there is to delete so far: no replica of an extent in use is removed. */
  onFileRemoved(machine: Machine, path: string): void {
    const match = /\/(\d{16})\.extent$/.exec(path);
    if (!path.startsWith(EXTENT_DIRECTORY) || !match) return;
    const extentId = Number(match[1]);
    const row = findExtentRow(this.#options.core, extentId);
    if (row?.replicas.includes(machine.name) && listedExtents(this.#options.core).includes(extentId))
      this.#fail('I9', `${machine.name} deletes its replica of extent ${extentId}, which is in use`);
  }

  noteRot(machine: string, extentId: number, offset: number): void {
    const name = `${machine} ${extentId}`;
    this.#rotten.set(name, (this.#rotten.get(name) ?? new Set()).add(offset));
  }

  /** Whether a replica was damaged or lost on purpose, and is not whole again. */
  isRotten(machine: string, extentId: number): boolean {
    const name = `${machine} ${extentId}`;
    return this.#rotten.has(name) || this.#lost.has(name);
  }

  /** Whether all that a machine has could be made again from the others, whatever they lose in a power cut. */
  isDispensable(machine: string): boolean {
    return this.#extentsOn(machine).every(({ extentId, row }) => {
      // Its replica's length may just be what decides.
      if (row.state === 'sealing') return false;
      const { damaged = [], unconfirmed } = row;
      return row.replicas.some(
        (member) =>
          member !== machine &&
          !this.isRotten(member, extentId) &&
          (row.state === 'open' || !(damaged.includes(member) || unconfirmed.includes(member)))
      );
    });
  }

  /** The machine's disk is going to be empty. */
  noteLoss(machine: string): void {
    for (const { extentId } of this.#extentsOn(machine)) this.#lost.add(`${machine} ${extentId}`);
  }

  #extentsOn(machine: string): { readonly extentId: number; readonly row: ExtentRow }[] {
    const { core } = this.#options;
    return core
      .range(EXTENT_ROWS)
      .entries.map((entry) => ({ extentId: extentIdOf(entry.key), row: decodeRow<ExtentRow>(entry)! }))
      .filter(({ row }) => row.replicas.includes(machine));
  }

  /** I1 and I6 on the disks, as they are at this moment. */
  checkDisks(): void {
    const { core } = this.#options;
    for (const extentId of listedExtents(core)) {
      const row = findExtentRow(core, extentId);
      if (!row) {
        this.#fail('I6', `extent ${extentId} is listed by a stream but has no row`);
        return;
      }
      this.ledger.requireStored(extentId, row);
      if (row.state === 'sealed') this.#checkSealed(extentId, row);
    }
  }

  /** An extent that is not whole on as many machines as it should be; none when all repairs are done. */
  findWounded(replicaCount: number): string | undefined {
    const { core } = this.#options;
    this.checkDisks();
    for (const extentId of listedExtents(core)) {
      const row = findExtentRow(core, extentId);
      if (row?.state !== 'sealed' || row.isDamaged) continue;
      const whole = row.replicas.filter(
        (member) => isConfirmed(row, member) && !this.isRotten(member, extentId)
      );
      if (whole.length < replicaCount) return `extent ${extentId} is whole on ${whole.join(', ') || 'none'}`;
    }
    return undefined;
  }

  #checkLater(): void {
    this.#options.world.schedule({
      afterMs: CHECK_MS,
      label: '',
      run: () => {
        this.checkDisks();
        this.#checkLater();
      }
    });
  }

  /** Confirmed replicas are bit-identical, as long as was decided, and say so themselves. */
  #checkSealed(extentId: number, row: ExtentRow): void {
    if (row.isDamaged) return;
    const { machines } = this.#options;
    let first: { readonly member: string; readonly bytes: Buffer } | undefined;
    for (const member of row.replicas.filter((one) => isConfirmed(row, one))) {
      const stored = machines.get(member)?.memory.findDurableBytes(extentPath(extentId));
      const bytes = stored && Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
      const isLong = bytes?.byteLength === row.length;
      if (this.isRotten(member, extentId)) {
        if (bytes && isLong && this.ledger.isWhole(extentId, bytes)) this.#noteWhole(member, extentId);
        continue;
      }
      if (!bytes || !isLong) {
        const has = `${bytes?.byteLength ?? 'no'} bytes`;
        this.#fail('I1', `${member} has ${has} of extent ${extentId}, confirmed at ${row.length}`);
        return;
      }
      first ??= { member, bytes };
      if (first.bytes !== bytes && !bytes.subarray(HEADER_BYTES).equals(first.bytes.subarray(HEADER_BYTES)))
        this.#fail('I1', `${member} and ${first.member} differ in the sealed extent ${extentId}`);
    }
  }

  /** It was repaired, and may be damaged again. */
  #noteWhole(member: string, extentId: number): void {
    this.#rotten.delete(`${member} ${extentId}`);
    this.#lost.delete(`${member} ${extentId}`);
  }

  #onCommit({ changes }: MetaCommit, before: ReadonlyMap<string, MetaEntry | undefined>): void {
    let isMapChanged = false;
    for (const change of changes) {
      const key = keyOf(change);
      const row = change.type === 'put' ? change.entry : undefined;
      if (key.startsWith(EXTENT_ROWS)) this.#onExtent(extentIdOf(key), before.get(key), row);
      if (key.startsWith(LIST_ROWS)) this.#onList(key, before.get(key), row);
      isMapChanged ||= key.startsWith(RANGE_ROWS);
    }
    if (isMapChanged) this.#requireCover();
  }

  /** I2: a sealed length is written once. I1: it holds everything acknowledged. */
  #onExtent(extentId: number, before: MetaEntry | undefined, after: MetaEntry | undefined): void {
    const old = decodeRow<ExtentRow>(before);
    const row = decodeRow<ExtentRow>(after);
    if (!row) {
      if (listedExtents(this.#options.core).includes(extentId))
        this.#fail('I6', `the row of extent ${extentId} is deleted although a stream lists it`);
      this.ledger.forget(extentId);
      return;
    }
    if (old?.state === 'sealed' && (row.state !== 'sealed' || row.length !== old.length))
      this.#fail(
        'I2',
        `extent ${extentId} was sealed at ${old.length} and is ${row.state} at ${row.length} now`
      );
    if (row.state === 'sealed') this.ledger.requireWithinSeal(extentId);
  }

  /** I4: when a new owner has its stream, nothing of it is open for an earlier one. */
  #onList(key: string, before: MetaEntry | undefined, after: MetaEntry | undefined): void {
    const old = decodeRow<ListRow>(before);
    const row = decodeRow<ListRow>(after);
    if (!row) return;
    if (old && row.epoch < old.epoch)
      this.#fail('I4', `${key} goes back from epoch ${old.epoch} to ${row.epoch}`);
    for (const extentId of row.extentIds) {
      const extent = findExtentRow(this.#options.core, extentId);
      if (!extent) this.#fail('I6', `${key} lists extent ${extentId}, which has no row`);
      else if (old?.epoch !== row.epoch && extent.state !== 'sealed')
        this.#fail(
          'I4',
          `${key} has an owner of epoch ${row.epoch} while extent ${extentId} is ${extent.state}`
        );
    }
  }

  /** I7: the ranges of the map are disjoint and have every key. */
  #requireCover(): void {
    const rows = this.#options.core.range(RANGE_ROWS).entries.map((entry) => decodeRow<RangeRow>(entry)!);
    rows.sort((a, b) => (a.startKey < b.startKey ? -1 : 1));
    let next = '';
    for (const [index, { startKey, endKey }] of rows.entries()) {
      const isLast = index === rows.length - 1;
      if (startKey !== next || (endKey === '') !== isLast)
        this.#fail('I7', `the partition map has a gap or an overlap at ${JSON.stringify(next)}`);
      next = endKey;
    }
  }

  /** I8: nothing leaves a server for a range that the map has given to another one. */
  #requireOwner({ answerer, path, payload }: SeenCall): void {
    const { partitionId } = payload as { readonly partitionId?: string };
    const row = decodeRow<RangeRow>(this.#options.core.find(RANGE_ROWS + partitionId));
    if (row && row.owner !== answerer.name)
      this.#fail(
        'I8',
        `${answerer.id} answers ${path} of ${partitionId}, which ${row.owner} has in epoch ${row.epoch}`
      );
  }

  #fail(invariant: string, message: string): void {
    this.#options.world.fail(new Violation(invariant, message));
  }
}

const NONE: ReadonlySet<number> = new Set();

function isConfirmed({ unconfirmed, damaged = [] }: ExtentRow, member: string): boolean {
  return !unconfirmed.includes(member) && !damaged.includes(member);
}
