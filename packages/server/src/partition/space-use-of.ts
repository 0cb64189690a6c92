import type { SpaceUse } from '../stream/index.js';
import type { MutationBody } from './mutation.js';

/** What a mutation without bytes of objects is for, on a store that is full. */
export function spaceUseOf(mutation: MutationBody): SpaceUse {
  switch (mutation.type) {
    case 'delete':
    case 'deletePrefix':
    case 'deleteBucket':
    case 'abortUpload':
      return 'frees';
    case 'edit':
      // A file that is cut, or in which holes are punched.
      return mutation.steps.length > 0 && mutation.steps.every(({ type }) => type !== 'write')
        ? 'frees'
        : 'changes';
    default:
      return 'changes';
  }
}
