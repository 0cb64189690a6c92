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
