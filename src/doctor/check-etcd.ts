import { isStoreError } from '@stampede/server/api';
import type { EtcdMemberStatus, EtcdOptions } from '@stampede/server/etcd';
import { systemClock } from '@stampede/server/platform';
import { formatSize } from '../size.js';
import type { Check } from './check.js';

const ANSWER_MS_MAX = 3000;
const VERSION_MIN = '3.4.0';
/**
 * From these on, a leader that was stopped for a while does not end the leases that others kept alive meanwhile
 * (etcd issue 15247). Until then holders learn it from their watches, not from their leases.
 */
const VERSIONS_WITH_FIRM_LEASES = ['3.4.31', '3.5.13'];
/** Slower than this, leases and new extents are late. */
const READ_MS_GOOD = 200;

/** Each member of etcd that is named: whether it answers, to whom it belongs, and whether it complains. */
export async function checkEtcd(options: Omit<EtcdOptions, 'clock'>): Promise<readonly Check[]> {
  return await Promise.all(
    options.endpoints.map((url) => checkMember({ ...options, endpoints: [url] }, url))
  );
}

async function checkMember(options: Omit<EtcdOptions, 'clock'>, url: string): Promise<Check> {
  const name = `etcd ${url.replace(/^https?:\/\//, '')}`;
  const { readEtcdStatus } = await import('@stampede/server/etcd');
  try {
    const status = await readEtcdStatus({ ...options, clock: systemClock() }, { deadlineMs: ANSWER_MS_MAX });
    return { name, ...judge(status) };
  } catch (error) {
    if (!isStoreError(error)) throw error;
    const isRefused = ['AccessDenied', 'Unauthenticated'].includes(error.code);
    return {
      name,
      verdict: 'fail',
      message: isRefused ? `it refuses us: ${error.message}` : `it does not answer: ${error.message}`,
      fix: isRefused
        ? 'name a user in the configuration and grant it readwrite on the prefix (etcdctl role grant-permission --prefix)'
        : 'start it, correct the address or ca-file, and see that most members run (etcdctl endpoint status --cluster)'
    };
  }
}

function judge(status: EtcdMemberStatus): Omit<Check, 'name'> {
  const { version, databaseBytes, isLeader, hasLeader, alarms, readMs } = status;
  if (alarms.includes('NOSPACE'))
    return {
      verdict: 'fail',
      message: `it is full at ${formatSize(databaseBytes)} and refuses writes`,
      fix: 'run etcdctl compact, defrag and alarm disarm; start it with --auto-compaction-retention 1h'
    };
  if (alarms.length > 0)
    return {
      verdict: 'fail',
      message: `it complains: ${alarms.join(', ')}`,
      fix: 'see "etcdctl alarm list"'
    };
  if (!hasLeader)
    return { verdict: 'fail', message: 'it has no leader', fix: 'see that most of its members run' };
  if (isBefore(version, VERSION_MIN))
    return {
      verdict: 'fail',
      message: `its version ${version} is too old`,
      fix: `install etcd ${VERSION_MIN} or newer`
    };
  const message = `${version}, ${isLeader ? 'leader' : 'follower'}, ${formatSize(databaseBytes)}, a read takes ${readMs.toFixed(1)} ms`;
  if (readMs > READ_MS_GOOD)
    return { verdict: 'warn', message, fix: 'give etcd a disk that syncs fast, and a network near by' };
  const fixed = VERSIONS_WITH_FIRM_LEASES.find((candidate) => isSameMinor(candidate, version));
  if (fixed && isBefore(version, fixed))
    return {
      verdict: 'warn',
      message: `${message}; a stopped leader that wakes up may end the leases of others`,
      fix: `install etcd ${fixed} or newer`
    };
  return { verdict: 'ok', message };
}

function isBefore(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) < 0;
}

function isSameMinor(version: string, other: string): boolean {
  return version.split('.', 2).join('.') === other.split('.', 2).join('.');
}
