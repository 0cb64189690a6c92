import type { ExtentId, MemberId } from '../api/index.js';

/** Which damaged replicas are files that are not there. Only for people: a new stream manager finds out again. */
export class MissingReplicas {
  readonly #byExtent = new Map<ExtentId, Set<MemberId>>();

  add(extentId: ExtentId, memberId: MemberId): void {
    const members = this.#byExtent.get(extentId) ?? new Set();
    this.#byExtent.set(extentId, members.add(memberId));
  }

  has(extentId: ExtentId, memberId: MemberId): boolean {
    return this.#byExtent.get(extentId)?.has(memberId) ?? false;
  }

  /** Forgets an extent that has no damaged replica any more. */
  delete(extentId: ExtentId): void {
    this.#byExtent.delete(extentId);
  }

  get extentIds(): readonly ExtentId[] {
    return [...this.#byExtent.keys()];
  }
}
