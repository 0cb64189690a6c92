import type { Logger } from 'pino';
import type { MetaStoreEvent } from './coordination/index.js';
import type { PartitionEvent } from './partition/index.js';
import type { StreamEvent } from './stream/index.js';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** How loud each event is. Total by type, so that a new one is thought about. */
const LEVELS: Readonly<Record<StampEvent['type'], Level>> = {
  'extent-replaced': 'warn',
  'extent-sealed-damaged': 'error',
  'extent-under-replicated': 'warn',
  'replica-damaged': 'warn',
  'replica-rebuilt': 'info',
  'replica-rebuild-failed': 'error',
  'replica-copied': 'info',
  'replica-verified': 'debug',
  'orphans-deleted': 'info',
  'stream-manager-leads': 'info',
  'stream-manager-ended': 'info',
  'member-changed': 'warn',
  'scrub-finished': 'info',
  'node-unavailable': 'error',
  'unknown-extents-kept': 'warn',
  'sweep-failed': 'warn',
  'partition-loaded': 'info',
  'partition-failed': 'error',
  'partition-load-failed': 'error',
  'index-damaged': 'warn',
  'index-write-failed': 'error',
  'checkpoint-written': 'debug',
  'extents-compacted': 'info',
  'partition-manager-leads': 'info',
  'partition-manager-ended': 'info',
  'partition-assigned': 'info',
  'assignment-failed': 'warn',
  'membership-lost': 'warn',
  'upkeep-failed': 'warn',
  'meta-store-failed': 'error',
  'meta-store-reopened': 'warn'
};

/** Of all events. */
export const EVENT_TYPES = Object.keys(LEVELS) as readonly StampEvent['type'][];

export type StampEvent = StreamEvent | PartitionEvent | MetaStoreEvent;

/** Tells the log what happens inside. */
export function logEvent(logger: Logger, event: StampEvent): void {
  const { type, ...fields } = event;
  const { cause, ...rest } = fields as { readonly cause?: unknown };
  logger[LEVELS[type]]({ ...rest, ...(cause !== undefined && { err: cause }) }, type);
}
