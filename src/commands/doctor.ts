import { release } from 'node:os';
import { whyNoLinuxDriver } from '@stampede/fs-mount';
import { asText, defineCommand, value, valueOr } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { DEFAULT_DATA_DIRECTORY } from '../config.js';
import { DEFAULT_PORT } from '../credentials.js';
import type { Check } from '../doctor/check.js';
import { checkServerConfig } from '../doctor/check-config.js';
import { checkDataDirectory, checkDurability, checkSpace } from '../doctor/check-disk.js';
import {
  checkAllowOther,
  checkCacheDirectory,
  checkDriver,
  checkMountHelper,
  checkPassthrough
} from '../doctor/check-drive.js';
import { checkEtcd } from '../doctor/check-etcd.js';
import { checkFuseDevice, checkFuseHelper, type FuseFacts } from '../doctor/check-fuse.js';
import { checkClock, checkPort } from '../doctor/check-port.js';
import { checkNode, checkOpenFiles } from '../doctor/check-process.js';
import { parsePort } from '../option-values.js';
import { etcdOptions } from '../server/etcd-options.js';
import { openServerConfig } from '../server/open-server-config.js';
import { readServerConfig } from '../server/read-server-config.js';
import { jsonOption } from '../shared-options.js';
import { CommandError, UsageError } from '../usage-error.js';

export const doctor = defineCommand({
  name: 'doctor',
  parameters: '',
  summary: 'check this machine and say what to fix',
  details:
    'It looks at what a local store and a drive need; with --config instead at what that server needs. It fails (exit\n' +
    'code 1) when something of it is broken.',
  options: {
    data: valueOr('--data <dir>', 'folder that is to hold the store', {
      parse: asText,
      otherwise: DEFAULT_DATA_DIRECTORY
    }),
    etcd: value('--etcd <urls>', 'members of etcd to look at too, with commas between', parseUrls),
    config: value('--config <file>', 'of "server --config": its files, folders, addresses and etcd', asText),
    cacheDir: value('--cache-dir <dir>', 'folder for the disk cache of a drive', asText),
    port: valueOr('--port <number>', 'where it is to listen', { parse: parsePort, otherwise: DEFAULT_PORT }),
    json: jsonOption('one JSON object a check')
  },
  example: 'doctor',
  async run(context, _parameters, { data, port, json, etcd, config, cacheDir }) {
    const { output } = context;
    const checks = [
      ...(await checkMachine(context)),
      ...(config === undefined
        ? [...(await checkLocalStore(context, context.localPath(data), port)), ...(await checkDrive(context))]
        : await checkConfigured(context, context.localPath(config))),
      ...(cacheDir === undefined ? [] : await checkCacheDirectory(context.localPath(cacheDir))),
      ...(etcd ? await checkEtcd({ endpoints: etcd, prefix: '' }) : [])
    ];
    for (const check of checks) {
      const { name, verdict, message, fix } = check;
      if (json) {
        await output.json(check);
        continue;
      }
      const mark = output.verdict(verdict) + ' '.repeat('fail'.length - verdict.length);
      await output.line(`${mark}  ${name.padEnd(18)}  ${message}`);
      if (fix !== undefined) await output.line(`${' '.repeat(26)}${fix}`);
    }
    const broken = checks.filter(({ verdict }) => verdict === 'fail').map(({ name }) => name);
    if (broken.length > 0) throw new CommandError(`to fix: ${broken.join(', ')}`);
  }
});

async function checkConfigured({ world }: CommandContext, path: string): Promise<readonly Check[]> {
  const read = await readServerConfig(path);
  const { config } = read;
  const opened = await openServerConfig(read);
  return [
    { name: 'configuration', verdict: 'ok', message: path },
    ...(await checkServerConfig({ config, opened, nowMs: world.nowMs })),
    ...(await checkEtcd(etcdOptions({ config, opened })))
  ];
}

function parseUrls(text: string): readonly string[] {
  const urls = text.split(',');
  for (const url of urls)
    if (!/^https?:\/\/[^\s/]+$/.test(url))
      throw new UsageError(`--etcd must be URLs, as http://10.0.0.1:2379, not ${url}`);
  return urls;
}

async function checkMachine({ world }: CommandContext): Promise<readonly Check[]> {
  return [checkNode(process.versions.node), checkClock(world.nowMs()), await checkOpenFiles()];
}

async function checkLocalStore(
  { world }: CommandContext,
  data: string,
  port: number
): Promise<readonly Check[]> {
  return [
    await checkDataDirectory(data),
    await checkDurability(data, () => performance.now()),
    await checkSpace(data),
    ...(await checkPort({ port, nowMs: world.nowMs }))
  ];
}

async function checkDrive({ world }: CommandContext): Promise<readonly Check[]> {
  const { environment, fuseDevice } = world;
  const { programDirectories } = environment;
  const why = whyNoLinuxDriver();
  const hasLinuxDriver = why === undefined;
  const isRoot = process.getuid?.() === 0;
  const fuse: FuseFacts = { device: fuseDevice, isRoot, programDirectories, hasLinuxDriver };
  return [
    await checkFuseDevice(fuse),
    await checkFuseHelper(fuse),
    checkDriver(why),
    await checkPassthrough({ release: release(), hasLinuxDriver }),
    await checkMountHelper(),
    await checkAllowOther(isRoot)
  ];
}
