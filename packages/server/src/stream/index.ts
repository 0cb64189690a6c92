export type { ExtentFolder } from './embedded-nodes.js';
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
