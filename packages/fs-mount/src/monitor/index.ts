export { type CallCount, CallCounts } from './call-counts.js';
export { countedStore } from './counted-store.js';
export { Monitor, type OperationSubject } from './monitor.js';
export {
  MONITOR_FILE_NAMES,
  type MonitorFile,
  type MonitorFileName,
  MonitorFolder
} from './monitor-folder.js';
