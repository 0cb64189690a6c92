import type { LockOwner, LockRequest, LockSpace, LockWaiter } from './lock-space.js';

export interface Waiting {
  readonly space: LockSpace;
  readonly waiter: LockWaiter;
}

/** Circles that are larger are not looked for: to find none must cost little where many wait for one lock. */
const STEPS_MAX = 200;

/** Whether to wait in the space would be to wait, over others, for the one who asks. */
export function isDeadlock(
  space: LockSpace,
  request: LockRequest,
  waitingOf: (owner: LockOwner) => Iterable<Waiting>
): boolean {
  const seen = new Set<LockOwner>();
  const ahead: Iterable<LockOwner>[] = [space.blockers(request)];
  let steps = 0;
  for (let owners = ahead.pop(); owners; owners = ahead.pop())
    for (const owner of owners) {
      if (owner === request.owner) return true;
      if (++steps > STEPS_MAX) return false;
      if (seen.has(owner)) continue;
      seen.add(owner);
      for (const waiting of waitingOf(owner)) ahead.push(waiting.space.blockers(waiting.waiter));
    }
  return false;
}
