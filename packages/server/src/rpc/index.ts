export { FrameOutbox } from './frame-outbox.js';
export { isRefused } from './refused.js';
export {
  type CallTable,
  combineServices,
  type RemoteCall,
  type RemoteCallsOptions,
  remoteCalls,
  serveCalls
} from './remote-calls.js';
export type {
  RoleCallOptions,
  RoleConnection,
  RoleConnectionOptions,
  RoleListener,
  RoleListenOptions,
  RoleNetwork,
  RoleService
} from './role-network.js';
export { TailMemory } from './tail-memory.js';
export { splitAddress, type TcpRoleNetworkOptions, tcpRoleNetwork } from './tcp-role-network.js';
