import type { Machine } from './machine.js';
import type { MetaCore } from './meta-core.js';
import type { NetworkObserver, SeenAnswer, SeenCall } from './network.js';
import { type ExtentRow, extentPath, findExtentRow, findListOf } from './stream-rows.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

export interface AppendLedgerOptions {
  readonly world: World;
  readonly core: MetaCore;
  readonly machines: ReadonlyMap<string, Machine>;
  /** Offsets of a replica that were damaged on purpose. */
  readonly rottenOf: (member: string, extentId: number) => ReadonlySet<number>;
  /** Whether the disk with a replica was replaced on purpose, and the replica is not whole again. */
  readonly isLost: (member: string, extentId: number) => boolean;
}

const HEADER_BYTES = 4096;

interface KnownExtent {
  /** What was sent for it, from its first block on. */
  readonly sent: SentBytes;
  /** How far each replica has said, to a writer who heard it, that it has all bytes. */
  readonly heard: Map<string, number>;
  /** Replicas that have told a length: from then on they acknowledge nothing. */
  readonly frozen: Map<string, number>;
}

interface AppendPayload {
  readonly extentId: number;
  readonly epoch: number;
  readonly offset: number;
  readonly durability: string;
  readonly [name: string]: unknown;
}

/**
 * Knows from the outside which bytes every replica of an extent has acknowledged, and holds the stream layer to them:
 * I1 (they are durable at once, and within the sealed length) and I3 (nothing is acknowledged after a freeze).
 */
export class AppendLedger implements NetworkObserver {
  readonly #options: AppendLedgerOptions;
  readonly #extents = new Map<number, KnownExtent>();
  /** Where an append ends, told at its answer. */
  readonly #ends = new WeakMap<SeenCall, number>();

  constructor(options: AppendLedgerOptions) {
    this.#options = options;
  }

  onArrived(call: SeenCall): void {
    if (call.path !== 'extentNode.append') return;
    const payload = call.payload as AppendPayload;
    const extent = this.#extent(payload.extentId);
    const bytes = bytesOf(payload);
    const start = payload.offset - HEADER_BYTES;
    this.#ends.set(call, payload.offset + bytes.byteLength);
    const known = extent.sent.between(start, start + bytes.byteLength);
    if (!bytes.subarray(0, known.byteLength).equals(known))
      this.#fail('I1', `extent ${payload.extentId} gets two different blocks at ${payload.offset}`);
    extent.sent.lay(start, bytes);
  }

  onAnswered(call: SeenCall, answer: SeenAnswer): void {
    if (!answer.ok) return;
    const member = call.answerer.name;
    if (call.path === 'extentNode.freeze') {
      const { extentId, epoch } = call.payload as AppendPayload;
      this.#extent(extentId).frozen.set(member, epoch);
    }
    if (call.path !== 'extentNode.append') return;
    const { extentId, offset, epoch, durability } = call.payload as AppendPayload;
    const frozen = this.#extent(extentId).frozen.get(member);
    if (frozen !== undefined)
      this.#fail(
        'I3',
        `${member} acknowledges an append of epoch ${epoch} to extent ${extentId}, frozen at ${frozen}`
      );
    const end = this.#ends.get(call);
    // A node that hung may still finish what was meant for an extent that is gone.
    if (!findExtentRow(this.#options.core, extentId)) return;
    if (durability === 'sync' && end !== undefined)
      this.#requireDurable(extentId, member, { start: offset, end });
  }

  onHeard(call: SeenCall, answer: SeenAnswer): void {
    if (!answer.ok || call.path !== 'extentNode.append') return;
    const { extentId } = call.payload as AppendPayload;
    const { heard } = this.#extent(extentId);
    const end = this.#ends.get(call) ?? 0;
    heard.set(call.answerer.name, Math.max(heard.get(call.answerer.name) ?? 0, end));
    this.requireWithinSeal(extentId);
    this.#requireOwner(extentId, (call.payload as AppendPayload).epoch);
  }

  /** I4: what an earlier owner appends lies before the point from which the next one has loaded. */
  #requireOwner(extentId: number, epoch: number): void {
    const { core } = this.#options;
    if (findExtentRow(core, extentId)?.state === 'sealed') return;
    const current = findListOf(core, extentId)?.epoch ?? 0;
    if (epoch < current)
      this.#fail(
        'I4',
        `an append of epoch ${epoch} to extent ${extentId} is acknowledged in epoch ${current}`
      );
  }

  /** Bytes up to here were acknowledged by every replica: whoever wrote them may count on them. */
  acknowledgedLength(extentId: number): number {
    const extent = this.#extents.get(extentId);
    const row = findExtentRow(this.#options.core, extentId);
    if (!extent || !row) return HEADER_BYTES;
    return Math.min(...row.replicas.map((member) => extent.heard.get(member) ?? HEADER_BYTES));
  }

  requireWithinSeal(extentId: number): void {
    const row = findExtentRow(this.#options.core, extentId);
    const acknowledged = this.acknowledgedLength(extentId);
    if (row?.state === 'sealed' && row.length! < acknowledged)
      this.#fail(
        'I1',
        `extent ${extentId} is sealed at ${row.length}, but ${acknowledged} bytes were acknowledged`
      );
  }

  /** Every replica has every acknowledged byte where no power cut reaches it, save what rotted. */
  requireStored(extentId: number, row: ExtentRow): void {
    const end = this.acknowledgedLength(extentId);
    if (end <= HEADER_BYTES) return;
    for (const member of row.replicas)
      if (!this.#options.isLost(member, extentId))
        this.#requireDurable(extentId, member, { start: HEADER_BYTES, end });
  }

  /** Whether these are the bytes of a replica as they were sent. */
  isWhole(extentId: number, stored: Buffer): boolean {
    const expected = this.#extent(extentId).sent.between(0, stored.byteLength - HEADER_BYTES);
    return expected.equals(stored.subarray(HEADER_BYTES));
  }

  forget(extentId: number): void {
    this.#extents.delete(extentId);
  }

  #requireDurable(
    extentId: number,
    member: string,
    { start, end }: { readonly start: number; readonly end: number }
  ): void {
    const machine = this.#options.machines.get(member);
    const stored = machine?.memory.findDurableBytes(extentPath(extentId), start, end);
    const what = (): string => `bytes ${start} to ${end} of extent ${extentId}, acknowledged by ${member},`;
    if (!stored) {
      this.#fail('I1', `${what()} are gone with the file`);
      return;
    }
    const rotten = this.#options.rottenOf(member, extentId);
    const expected = this.#extent(extentId).sent.between(start - HEADER_BYTES, end - HEADER_BYTES);
    if (expected.equals(stored)) return;
    for (let at = start; at < end; at++) {
      if (stored[at - start] === expected[at - start] || rotten.has(at)) continue;
      const there = start + stored.byteLength;
      this.#fail('I1', `${what()} are not durable: the first wrong one is at ${at} of ${there}`);
      return;
    }
  }

  #extent(extentId: number): KnownExtent {
    let extent = this.#extents.get(extentId);
    if (!extent) {
      extent = { sent: new SentBytes(), heard: new Map(), frozen: new Map() };
      this.#extents.set(extentId, extent);
    }
    return extent;
  }

  #fail(invariant: string, message: string): void {
    this.#options.world.fail(new Violation(invariant, message));
  }
}

/** Bytes that grow at their end. */
class SentBytes {
  #bytes = Buffer.alloc(4096);
  #length = 0;

  /** A view of those that are known. */
  between(start: number, end: number): Buffer {
    return this.#bytes.subarray(Math.min(start, this.#length), Math.min(end, this.#length));
  }

  /** Adds those that go on from the end; others are known or come too early. */
  lay(start: number, bytes: Buffer): void {
    const end = start + bytes.byteLength;
    if (start > this.#length || end <= this.#length) return;
    if (end > this.#bytes.byteLength) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.byteLength * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, start);
    this.#length = end;
  }
}

function bytesOf(payload: AppendPayload): Buffer {
  const parts: Uint8Array[] = [];
  for (let number = 0; payload[`b${number}`] instanceof Uint8Array; number++)
    parts.push(payload[`b${number}`] as Uint8Array);
  return Buffer.concat(parts);
}
