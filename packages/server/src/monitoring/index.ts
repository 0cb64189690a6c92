export { EventMetrics } from './event-metrics.js';
export { type MonitoringOptions, type MonitoringServer, openMonitoring } from './monitoring-server.js';
export {
  type Leader,
  type MonitoredRoles,
  type RoleName,
  type RoleState,
  showRoles
} from './role-metrics.js';
export { findStreamProblems } from './stream-problems.js';
