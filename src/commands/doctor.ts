import { asText, defineCommand, value, valueOr } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { DEFAULT_DATA_DIRECTORY } from '../config.js';
import { DEFAULT_PORT } from '../credentials.js';
import type { Check } from '../doctor/check.js';
import { checkDataDirectory, checkDurability, checkSpace } from '../doctor/check-disk.js';
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
  details: 'It fails (exit code 1) when something that a store or a drive needs is broken.',
  options: {
    data: valueOr('--data <dir>', 'folder that is to hold the store', {
      parse: asText,
      otherwise: DEFAULT_DATA_DIRECTORY
    }),
    etcd: value('--etcd <urls>', 'members of etcd to look at too, with commas between', parseUrls),
    config: value('--config <file>', 'of "server --config": look at the etcd that it names', asText),
    port: valueOr('--port <number>', 'where it is to listen', { parse: parsePort, otherwise: DEFAULT_PORT }),
    json: jsonOption('one JSON object a check')
  },
  example: 'doctor',
  async run(context, _parameters, { data, port, json, etcd, config }) {
    const { output } = context;
    const checks = [
      ...(await checkAll(context, context.localPath(data), port)),
      ...(etcd ? await checkEtcd({ endpoints: etcd, prefix: '' }) : []),
      ...(config === undefined ? [] : await checkConfigured(context.localPath(config)))
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

async function checkConfigured(path: string): Promise<readonly Check[]> {
  const config = await readServerConfig(path);
  return await checkEtcd(etcdOptions({ config, opened: await openServerConfig(config, path) }));
}

function parseUrls(text: string): readonly string[] {
  const urls = text.split(',');
  for (const url of urls)
    if (!/^https?:\/\/[^\s/]+$/.test(url))
      throw new UsageError(`--etcd must be URLs, as http://10.0.0.1:2379, not ${url}`);
  return urls;
}

async function checkAll({ world }: CommandContext, data: string, port: number): Promise<readonly Check[]> {
  const { environment, fuseDevice, nowMs } = world;
  const { programDirectories } = environment;
  const fuse: FuseFacts = { device: fuseDevice, isRoot: process.getuid?.() === 0, programDirectories };
  return [
    checkNode(process.versions.node),
    await checkFuseDevice(fuse),
    await checkFuseHelper(fuse),
    await checkDataDirectory(data),
    await checkDurability(data, () => performance.now()),
    await checkSpace(data),
    ...(await checkPort({ port, nowMs })),
    checkClock(nowMs()),
    await checkOpenFiles()
  ];
}
