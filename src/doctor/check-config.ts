import { X509Certificate } from 'node:crypto';
import { splitAddress } from '../server/listen-address.js';
import type { OpenedServerConfig } from '../server/open-server-config.js';
import type { ServerConfig } from '../server/server-config.js';
import type { Check } from './check.js';
import { checkDataDirectory, checkDurability, checkSpace } from './check-disk.js';
import { whyNotFree } from './check-port.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const CERTIFICATE_DAYS_GOOD = 30;

export interface ConfigFacts {
  readonly config: ServerConfig;
  readonly opened: OpenedServerConfig;
  readonly nowMs: () => number;
}

/** What a process of a stamp needs of this machine. */
export async function checkServerConfig({ config, opened, nowMs }: ConfigFacts): Promise<readonly Check[]> {
  const { roles, cluster, monitoring } = config;
  const addresses = [
    ['cluster.listen', cluster.listen],
    ['roles.front-end.listen', roles['front-end']?.listen],
    ['monitoring.listen', monitoring?.listen]
  ] as const;
  const folders = [
    ['roles.extent-node.directory', roles['extent-node']?.directory],
    ['roles.partition-server.index-directory', roles['partition-server']?.['index-directory']]
  ] as const;
  const certificates = [
    ['cluster.tls.cert-file', opened.clusterTls?.cert],
    ['roles.front-end.cert-file', opened.frontEnd?.tls?.cert],
    ['etcd.cert-file', opened.etcd.cert]
  ] as const;
  const checks: Check[] = [];
  for (const [name, address] of addresses)
    if (address !== undefined) checks.push(await checkAddress(name, address));
  for (const [name, folder] of folders)
    if (folder !== undefined) checks.push(...(await checkFolder(name, opened.resolve(folder))));
  for (const [name, text] of certificates)
    if (text !== undefined) checks.push(checkCertificate(name, text, nowMs()));
  return checks;
}

async function checkAddress(name: string, address: string): Promise<Check> {
  const { host, port } = splitAddress(address);
  const code = await whyNotFree(port, host);
  switch (code) {
    case undefined:
      return { name, verdict: 'ok', message: `${address} is free` };
    case 'EADDRINUSE':
      return {
        name,
        verdict: 'warn',
        message: `${address} is in use`,
        fix: `well, if this server runs already; else choose another port ("ss -ltnp sport = :${port}" names who has it)`
      };
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return {
        name,
        verdict: 'fail',
        message: `${host} is no address of this machine`,
        fix: 'write one that "ip addr" shows'
      };
    default:
      return {
        name,
        verdict: 'fail',
        message: `${address} cannot be listened on (${code})`,
        fix: 'choose another port'
      };
  }
}

async function checkFolder(name: string, folder: string): Promise<readonly Check[]> {
  const choose = `choose another ${name}`;
  const named = (check: Check): Check => ({
    ...check,
    name: `${name}: ${check.name}`,
    ...(check.fix !== undefined && {
      fix: check.fix.replace(/with --data|, or --durability os/g, 'in the file')
    })
  });
  const directory = await checkDataDirectory(folder, { directory: name, choose });
  if (directory.verdict === 'fail') return [directory];
  return [
    directory,
    named(await checkDurability(folder, () => performance.now())),
    named(await checkSpace(folder))
  ];
}

function checkCertificate(name: string, text: string, nowMs: number): Check {
  const { validFrom, validTo } = new X509Certificate(text);
  const days = (Date.parse(validTo) - nowMs) / DAY_MS;
  const fix = 'get a new one, and start the server again';
  if (days < 0) return { name, verdict: 'fail', message: `it ran out at ${validTo}`, fix };
  if (Date.parse(validFrom) > nowMs)
    return {
      name,
      verdict: 'fail',
      message: `it is valid only from ${validFrom}`,
      fix: 'look at the clock of this machine'
    };
  const message = `valid until ${validTo}`;
  return days < CERTIFICATE_DAYS_GOOD
    ? { name, verdict: 'warn', message, fix }
    : { name, verdict: 'ok', message };
}
