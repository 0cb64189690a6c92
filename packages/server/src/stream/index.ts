export type { ExtentFolder } from './embedded-nodes.js';
export { EmbeddedNodes } from './embedded-nodes.js';
export {
  type EmbeddedStreamLayer,
  type EmbeddedStreamLayerOptions,
  openEmbeddedStreamLayer
} from './embedded-stream-layer.js';
export type {
  AppendMessage,
  CreateExtentMessage,
  DeleteExtentsMessage,
  ExtentNodeApi,
  ExtentNodeStatus,
  FetchMessage,
  FreezeAnswer,
  FreezeMessage,
  ListExtentsMessage,
  RebuildMessage,
  ScanMessage,
  ScannedHead,
  ScanPage,
  SealAnswer,
  SealMessage
} from './extent-node-api.js';
export type {
  ExtentFilter,
  ExtentStateView,
  ExtentsAnswer,
  ExtentTotals,
  MembershipApi,
  MemberView,
  ScrubView
} from './membership-api.js';
export { NodeDirectory } from './node-directory.js';
export { Pacer } from './pacer.js';
export { type ClusterStreamsOptions, openClusterStreams } from './remote/cluster-streams.js';
export { EXTENT_NODE, remoteExtentNode, serveExtentNode } from './remote/extent-node-calls.js';
export { leadingStreamManager } from './remote/leading-stream-manager.js';
export { NodeStatuses } from './remote/node-statuses.js';
export { STREAM_MANAGER, serveStreamManager } from './remote/stream-manager-calls.js';
export type { SpaceUse } from './space-use.js';
export type { OnStreamEvent, StreamEvent } from './stream-event.js';
export type {
  AppendBlock,
  BlockLocation,
  BlockRange,
  ExtentNodeSummary,
  OpenStreamOptions,
  OwnedStream,
  ScannedBlock,
  StreamExtent,
  StreamLayer,
  StreamPosition
} from './stream-layer.js';
export type { StreamManagerApi } from './stream-manager-api.js';
export { STREAM_MANAGER_ELECTION, StreamManagerLeader } from './stream-manager-leader.js';
export type { CopyReason, StreamMeasure } from './stream-measure.js';
