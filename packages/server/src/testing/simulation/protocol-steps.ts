import type { MetaTransaction } from '../../coordination/index.js';
import type { SeenCall } from './network.js';

/** A call by its path, or a transaction of the meta store by where the keys lie that it puts. */
interface Step {
  readonly path: string;
  readonly keyPrefix?: string;
}

const META_TRANSACTION = 'meta.transact';

/** Moments at which a crash may leave something half done. */
const STEPS = {
  append: { path: 'extentNode.append' },
  createExtent: { path: 'extentNode.createExtent' },
  freeze: { path: 'extentNode.freeze' },
  sealReplica: { path: 'extentNode.seal' },
  rebuild: { path: 'extentNode.rebuild' },
  fetch: { path: 'extentNode.fetch' },
  deleteExtents: { path: 'extentNode.deleteExtents' },
  openStream: { path: 'streamManager.openStream' },
  allocateExtent: { path: 'streamManager.allocateExtent' },
  sealExtent: { path: 'streamManager.sealExtent' },
  releaseExtents: { path: 'streamManager.releaseExtents' },
  moveExtents: { path: 'streamManager.moveExtents' },
  putExtentRow: { path: META_TRANSACTION, keyPrefix: 'streams/extent/' },
  putListRow: { path: META_TRANSACTION, keyPrefix: 'streams/list/' },
  putRange: { path: META_TRANSACTION, keyPrefix: '/partitions/' },
  putElection: { path: META_TRANSACTION, keyPrefix: 'elections/' },
  putMember: { path: META_TRANSACTION, keyPrefix: 'streams/member/' },
  renamePrefix: { path: 'partition.objects.renamePrefix' },
  completeUpload: { path: 'partition.uploads.complete' }
} as const satisfies Record<string, Step>;

export type StepName = keyof typeof STEPS;

export const STEP_NAMES = Object.keys(STEPS) as StepName[];

export function isStep(name: StepName, { path, payload }: SeenCall): boolean {
  const step: Step = STEPS[name];
  if (path !== step.path) return false;
  const { keyPrefix } = step;
  if (keyPrefix === undefined) return true;
  const { transaction } = payload as { readonly transaction: MetaTransaction };
  return transaction.puts?.some(({ key }) => key.startsWith(keyPrefix)) ?? false;
}
