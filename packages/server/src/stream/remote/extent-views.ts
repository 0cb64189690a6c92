import type { ExtentId } from '../../api/index.js';
import type { Clock } from '../../platform/index.js';
import type { ExtentView, StreamManagerApi } from '../stream-manager-api.js';
import type { ExtentFinder } from '../stream-reader.js';

const COUNT_MAX = 20_000;
/** Replicas move rarely, and who does not find them where they were asks anew at once. */
const KEPT_MS = 30_000;

interface Known {
  /** In which order it was asked for: a slow answer does not replace that of a later question. */
  readonly number: number;
  readonly view: ExtentView;
  readonly untilMs: number;
}

/** A stream manager whose answers about where extents are get remembered for a while: reads need not wait for them. */
export function withExtentViews(manager: StreamManagerApi, clock: Clock): StreamManagerApi & ExtentFinder {
  const views = new Map<ExtentId, Known>();
  let askedCount = 0;
  return {
    openStream: (message) => manager.openStream(message),
    allocateExtent: (message) => manager.allocateExtent(message),
    sealExtent: (message) => manager.sealExtent(message),
    releaseExtents: (message) => manager.releaseExtents(message),
    moveExtents: (message) => manager.moveExtents(message),
    async findExtent(message, { isKnownStale = false } = {}) {
      const { extentId } = message;
      const known = views.get(extentId);
      if (known && !isKnownStale && known.untilMs > clock.monotonicMs()) return known.view;
      if (isKnownStale && views.get(extentId) === known) views.delete(extentId);
      askedCount += 1;
      const number = askedCount;
      const view = await manager.findExtent(message);
      if ((views.get(extentId)?.number ?? 0) > number) return view;
      views.delete(extentId);
      if (view) {
        const [oldest] = views.keys();
        if (views.size >= COUNT_MAX && oldest !== undefined) views.delete(oldest);
        views.set(extentId, { number, view, untilMs: clock.monotonicMs() + KEPT_MS });
      }
      return view;
    },
    async reportDamage(message) {
      // Also what a reader says that found no replica where it looked.
      views.delete(message.extentId);
      await manager.reportDamage(message);
    },
    heartbeat: (message) => manager.heartbeat(message),
    members: () => manager.members(),
    extents: (message) => manager.extents(message),
    drain: (message) => manager.drain(message),
    removeMember: (message) => manager.removeMember(message),
    scrub: (message) => manager.scrub(message)
  };
}
