import type { MemberId } from '../api/index.js';
import { decodeMember, MEMBER_PREFIX, type Member, type MemberRole, removeMember } from './member-table.js';
import type { MetaEntry, MetaStore } from './meta-store.js';
import { WatchedRange, type WatchedRangeOptions } from './watched-range.js';

/** Which members there are, as far as this process has heard. */
export class MemberDirectory {
  readonly #meta: MetaStore;
  readonly #range: WatchedRange;
  readonly #decoded = new WeakMap<MetaEntry, Member | 'unreadable'>();

  private constructor(meta: MetaStore, range: WatchedRange) {
    this.#meta = meta;
    this.#range = range;
  }

  static async open(options: Omit<WatchedRangeOptions, 'prefix'>): Promise<MemberDirectory> {
    return new MemberDirectory(options.meta, await WatchedRange.open({ ...options, prefix: MEMBER_PREFIX }));
  }

  find(memberId: MemberId): Member | undefined {
    const entry = this.#range.find(MEMBER_PREFIX + memberId);
    return entry && this.#decode(entry);
  }

  findByAddress(address: string): Member | undefined {
    return this.all().find((member) => member.address === address);
  }

  all(role?: MemberRole): readonly Member[] {
    const members = [...this.#range.entries()].flatMap((entry) => this.#decode(entry) ?? []);
    return role ? members.filter(({ roles }) => roles.includes(role)) : members;
  }

  /** Resolves at the next change, or after the time. */
  changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return this.#range.changed(timeoutMs, signal);
  }

  /** Nobody listens any more where a member was: its process is gone, and need not be waited for. */
  async bury(member: Member): Promise<void> {
    await removeMember(this.#meta, member);
  }

  close(): Promise<void> {
    return this.#range.close();
  }

  #decode(entry: MetaEntry): Member | undefined {
    let member = this.#decoded.get(entry);
    if (!member) {
      member = decodeMember(entry) ?? 'unreadable';
      this.#decoded.set(entry, member);
    }
    return member === 'unreadable' ? undefined : member;
  }
}
