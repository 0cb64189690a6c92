import type { EtcdClient } from './etcd-client.js';

/**
 * Keeps a lease alive for its time to live from now on.
 *
 * @returns Whether etcd still has the lease.
 * @throws When the member that was asked does not answer in time; another one is asked next time.
 */
export async function keepAliveOnce(
  client: EtcdClient,
  leaseId: string,
  timeoutMs: number
): Promise<boolean> {
  const { endpoint } = client;
  try {
    return await client.attempt(
      endpoint,
      { timeoutMs, signals: [client.closed] },
      async ({ etcd, options }) => {
        const stream = await etcd.leaseClient.leaseKeepAlive(options);
        return await new Promise<boolean>((resolve, reject) => {
          stream.on('data', (answer: { readonly TTL: string | number }) => resolve(Number(answer.TTL) > 0));
          stream.on('error', reject);
          stream.on('end', () => reject(new Error('etcd ended the stream')));
          stream.write({ ID: leaseId });
          // Ended, not cancelled: the library closes its connections after a stream that failed.
          stream.end();
        });
      }
    );
  } catch (error) {
    client.distrust(endpoint);
    throw error;
  }
}
