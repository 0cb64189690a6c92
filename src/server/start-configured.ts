import { type Server, startServer } from '@stampede/server';
import { openEtcdMetaStore } from '@stampede/server/etcd';
import { systemClock, systemRandom } from '@stampede/server/platform';
import type { Log } from '../log.js';
import { etcdOptions } from './etcd-options.js';
import type { OpenedServerConfig } from './open-server-config.js';
import type { ServerConfig } from './server-config.js';

export interface ServerStartOptions {
  readonly config: ServerConfig;
  readonly opened: OpenedServerConfig;
  readonly logger: Log;
}

export type StartConfigured = (options: ServerStartOptions) => Promise<Server>;

/** Starts the roles that a configuration names. */
export const startConfigured: StartConfigured = async ({ config, opened, logger }) => {
  const { member, rack, replicas, cluster, roles, monitoring } = config;
  const extentNode = roles['extent-node'];
  const partitionServer = roles['partition-server'];
  const frontEnd = roles['front-end'];
  return await startServer({
    member,
    rack,
    replicaCount: replicas,
    extentBytesMax: config['extent-size'],
    monitoring: monitoring?.listen,
    logger,
    openMeta: async () =>
      openEtcdMetaStore({ ...etcdOptions({ config, opened }), clock: systemClock(), random: systemRandom() }),
    cluster: { listen: cluster.listen, secret: opened.secret, tls: opened.clusterTls },
    roles: {
      streamManager: roles['stream-manager'] !== undefined,
      extentNode: extentNode && { directory: opened.resolve(extentNode.directory) },
      partitionServer: partitionServer && {
        indexDirectory: opened.resolve(partitionServer['index-directory']),
        durability: partitionServer.durability
      },
      frontEnd:
        frontEnd && opened.frontEnd
          ? {
              listen: frontEnd.listen,
              credentials: opened.frontEnd.credentials,
              tls: opened.frontEnd.tls
            }
          : undefined
    }
  });
};
