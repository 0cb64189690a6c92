import type { EtcdOptions } from '@stampede/server/etcd';
import type { OpenedServerConfig } from './open-server-config.js';
import type { ServerConfig } from './server-config.js';

/** How a configuration says that its etcd is reached. */
export function etcdOptions({
  config: { etcd },
  opened
}: {
  readonly config: Pick<ServerConfig, 'etcd'>;
  readonly opened: Pick<OpenedServerConfig, 'etcd'>;
}): Omit<EtcdOptions, 'clock'> {
  const { password, ca, cert, key } = opened.etcd;
  return {
    endpoints: etcd.endpoints,
    prefix: etcd.prefix,
    auth: etcd.username === undefined ? undefined : { username: etcd.username, password: password ?? '' },
    tls: ca === undefined ? undefined : { ca, cert, key }
  };
}
