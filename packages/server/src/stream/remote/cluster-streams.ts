import type { Clock } from '../../platform/index.js';
import type { NodeDirectory } from '../node-directory.js';
import { StreamClient } from '../stream-client.js';
import type { OnStreamEvent } from '../stream-event.js';
import type {
  BlockRange,
  ExtentNodeSummary,
  OpenStreamOptions,
  OwnedStream,
  StreamLayer
} from '../stream-layer.js';
import type { StreamManagerApi } from '../stream-manager-api.js';
import { withExtentViews } from './extent-views.js';
import type { NodeStatuses } from './node-statuses.js';

export interface ClusterStreamsOptions {
  /** Stays the caller's, as does everything else given here. */
  readonly manager: StreamManagerApi;
  readonly nodes: NodeDirectory;
  readonly statuses: NodeStatuses;
  readonly clock: Clock;
  readonly onEvent: OnStreamEvent;
  readonly extentBytesMax?: number | undefined;
}

/** The stream layer of a partition server, whose manager and nodes are in other processes. */
export function openClusterStreams(options: ClusterStreamsOptions): StreamLayer {
  const { nodes, statuses, clock } = options;
  const client = new StreamClient({ ...options, manager: withExtentViews(options.manager, clock) });
  return {
    openStream: (open: OpenStreamOptions): Promise<OwnedStream> => client.openStream(open),
    readBlock: (range: BlockRange, readOptions) => client.readBlock(range, readOptions),
    summary: async (): Promise<readonly ExtentNodeSummary[]> => statuses.reachable(),
    isFull: () => nodes.isFull(),
    close: () => client.close()
  };
}
