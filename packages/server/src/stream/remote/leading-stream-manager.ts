import { isStoreError, StoreError } from '../../api/index.js';
import type { MetaStore } from '../../coordination/index.js';
import type { Clock } from '../../platform/index.js';
import type { RoleConnection } from '../../rpc/index.js';
import { NodeDirectory } from '../node-directory.js';
import type { StreamManagerApi } from '../stream-manager-api.js';
import { STREAM_MANAGER_ELECTION } from '../stream-manager-leader.js';
import { remoteStreamManager } from './stream-manager-calls.js';

export interface LeadingStreamManagerOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  /** Candidates campaign under their addresses. */
  readonly connect: (address: string) => RoleConnection;
}

/** For so long a call looks for who leads: a standby takes over within the lease of the one before. */
const FIND_MS_MAX = NodeDirectory.timeoutMs(1);
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 500;

/**
 * The stream manager that leads, wherever that is now. All its calls may be repeated, so each is, to the next leader, while
 * there is none that answers.
 */
export function leadingStreamManager(options: LeadingStreamManagerOptions): StreamManagerApi {
  const { meta, clock, connect } = options;
  let known: { readonly address: string; readonly manager: StreamManagerApi } | undefined;

  const find = async (): Promise<StreamManagerApi> => {
    if (known) return known.manager;
    const leader = await meta.findLeader(STREAM_MANAGER_ELECTION, { deadlineMs: FIND_MS_MAX });
    if (!leader) throw new StoreError('ServiceUnavailable', 'No stream manager leads now. Try again.');
    const { candidate: address } = leader;
    known = { address, manager: remoteStreamManager(connect(address)) };
    return known.manager;
  };

  const call = async (name: keyof StreamManagerApi, message: unknown): Promise<unknown> => {
    const endMs = clock.monotonicMs() + FIND_MS_MAX;
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, 2 * pauseMs)) {
      try {
        const manager = await find();
        return await (manager[name] as (message: unknown) => Promise<unknown>)(message);
      } catch (error) {
        if (!isStoreError(error, 'ServiceUnavailable', 'DeadlineExceeded')) throw error;
        known = undefined;
        if (clock.monotonicMs() + pauseMs >= endMs) throw error;
      }
      await clock.sleep(pauseMs);
    }
  };

  return new Proxy({} as StreamManagerApi, {
    get: (_target, name) => (message: unknown) => call(name as keyof StreamManagerApi, message)
  });
}
