import { defineCommand, flag } from '../command.js';
import { openDrive } from '../drive.js';
import { openLog } from '../log.js';
import { connectionOptions, driveOptions, driveSettings, jsonOption } from '../shared-options.js';
import { parseStorePath, type StorePath } from '../store-path.js';
import { UsageError } from '../usage-error.js';

export const mount = defineCommand({
  name: 'mount',
  parameters: '<bucket[/prefix]> <dir>',
  summary: 'mount a bucket, or what is below a prefix of it, as a drive',
  details:
    'It runs until Ctrl-C, which stores everything and unmounts; a second Ctrl-C gives up what is not stored yet and\n' +
    'says what that is. What a crashed mount left at the directory is cleaned up. See also: umount.',
  options: {
    readOnly: flag('--read-only', 'nothing can be changed through it'),
    ...driveOptions,
    json: jsonOption('one line of JSON when it is mounted'),
    ...connectionOptions
  },
  example: 'mount photos/2026 /mnt/photos',
  async run(context, [text = '', place = ''], options) {
    const { world, output, shutdown, signal } = context;
    const { bucket, key } = parseTarget(text);
    const directory = context.localPath(place);
    const store = await context.store(options);
    const { logLevel, hasColor } = world.environment;
    const logger = openLog(world.stderr, { level: logLevel, hasColor });
    const drive = await openDrive(context, logger, {
      client: store,
      bucket,
      prefix: key,
      directory,
      readOnly: options.readOnly,
      ...driveSettings(options, (path) => context.localPath(path))
    });
    if (signal.aborted) return;
    const what = key === '' ? bucket : `${bucket}/${key}`;
    if (options.json) await output.json({ bucket, prefix: key, mount: directory, pid: process.pid });
    else await output.line(`${what} is mounted at ${output.name(directory)}. Ctrl-C unmounts it.`);
    await shutdown.requested(drive.ended);
  }
});

/** `BUCKET`, `BUCKET/PREFIX`, or either with `st:` before it. */
function parseTarget(text: string): StorePath & { readonly bucket: string } {
  const path = parseStorePath(text.startsWith('st:') ? text : `st:${text}`);
  if (path.bucket === undefined) throw new UsageError(`"${text}" names no bucket; write mount BUCKET DIR`);
  return { ...path, bucket: path.bucket };
}
