import { stringify } from 'yaml';
import { asText, defineCommand, flag, value } from '../command.js';
import { openLog } from '../log.js';
import { openServerConfig } from '../server/open-server-config.js';
import { readServerConfig } from '../server/read-server-config.js';
import { jsonOption } from '../shared-options.js';
import { UsageError } from '../usage-error.js';

export const server = defineCommand({
  name: 'server',
  parameters: '',
  summary: 'run the roles of a stamp that a file names, with others on other machines',
  details:
    'The file says which of stream-manager, extent-node, partition-server and front-end this process is, and where etcd\n' +
    'and the cluster secret are. It runs until SIGTERM or Ctrl-C; what it served is then taken over by others.',
  options: {
    config: value('--config <file>', 'the file (YAML)', asText),
    printConfig: flag('--print-config', 'check the file, show it with its defaults, and stop'),
    json: jsonOption('one line of JSON when it is ready')
  },
  example: 'server --config node-1.yaml',
  async run(context, _parameters, { config: given, printConfig, json }) {
    if (given === undefined) throw new UsageError('which roles? name a file with --config');
    const { world, output, shutdown, signal } = context;
    const path = context.localPath(given);
    const read = await readServerConfig(path);
    const { config } = read;
    const opened = await openServerConfig(read);
    if (printConfig) {
      await output.write(stringify(config));
      return;
    }
    const logger = openLog(world.stderr, {
      level: world.environment.logLevel,
      hasColor: world.environment.hasColor
    });
    const running = await world.startServer({ config, opened, logger });
    shutdown.opened({
      name: 'server',
      async close() {
        await running.close();
        return [];
      }
    });
    if (signal.aborted) return;
    const { memberId, address, endpoint, monitoring } = running;
    if (json) await output.json({ memberId, address, endpoint, monitoring, pid: process.pid });
    else {
      const served = endpoint === undefined ? '' : `; clients connect to ${endpoint}`;
      const watched = monitoring === undefined ? '' : `; its metrics are at ${monitoring}/metrics`;
      await output.line(`member ${memberId} runs at ${address}${served}${watched}`);
    }
    await shutdown.requested();
  }
});
