import { ALL_BUCKETS } from '@stampede/fs-mount';
import { asText, defineCommand, flag, value } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { type DaemonFiles, daemonFiles } from '../daemon-files.js';
import { openDrive } from '../drive.js';
import { openLog } from '../log.js';
import { PidFile } from '../pid-file.js';
import { connectionOptions, driveOptions, driveSettings, jsonOption } from '../shared-options.js';
import { parseStorePath } from '../store-path.js';
import { CommandError, UsageError } from '../usage-error.js';

/** A store that is away is an error after a minute; a large disk cache takes a while to be looked through. */
const READY_MS_MAX = 300_000;
const END_MS_MAX = 10_000;

export const mount = defineCommand({
  name: 'mount',
  parameters: '<bucket[/prefix]> <dir>',
  summary: 'mount a bucket, what is below a prefix of it, or all buckets as a drive',
  details:
    `With ${ALL_BUCKETS} in the place of a bucket each one is a directory; mkdir and rmdir there make and remove buckets.\n` +
    'It runs until Ctrl-C, which stores everything and unmounts; a second Ctrl-C gives up what is not stored yet and\n' +
    'says what that is. With --daemon it returns when the drive can be used, and SIGTERM takes the place of Ctrl-C.\n' +
    'What a crashed mount left at the directory is cleaned up. See also: umount.',
  options: {
    readOnly: flag('--read-only', 'nothing can be changed through it'),
    ...driveOptions,
    daemon: flag('--daemon', 'go on in the background once it is mounted'),
    pidFile: value(
      '--pid-file <file>',
      'names the process (with --daemon, default: below /run/stampede or ~/.local/state/stampede)',
      asText
    ),
    logFile: value(
      '--log-file <file>',
      'gets what a daemon says (default: below /var/log/stampede or ~/.local/state/stampede)',
      asText
    ),
    json: jsonOption('one line of JSON when it is mounted'),
    ...connectionOptions
  },
  example: 'mount photos/2026 /mnt/photos',
  async run(context, [text = '', place = ''], options) {
    const { world, output, shutdown, signal } = context;
    const { bucket, key } = parseTarget(text);
    const what = nameOf(bucket, key);
    const directory = context.localPath(place);
    const files = filesOf(context, directory, options);
    if (options.daemon && world.reportReady === undefined)
      return startInBackground(context, {
        directory,
        what,
        files,
        isJson: options.json
      });
    const pidFile =
      files.pidFile === undefined ? undefined : await PidFile.prepare(files.pidFile, process.pid);
    // Closed last: who waits for its end knows then that everything is stored.
    if (pidFile)
      shutdown.opened({
        name: 'pid file',
        async close() {
          await pidFile.remove();
          return [];
        }
      });
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
    await pidFile?.write();
    if (options.json) await output.json({ bucket, prefix: key, mount: directory, pid: process.pid });
    else await output.line(`${what} is mounted at ${output.name(directory)}. Ctrl-C unmounts it.`);
    world.reportReady?.();
    await shutdown.requested(drive.ended);
  }
});

/** What a drive keeps beside itself; in the foreground only what was asked for. */
function filesOf(
  context: CommandContext,
  directory: string,
  {
    daemon,
    pidFile,
    logFile
  }: { readonly daemon: boolean; readonly pidFile: string | undefined; readonly logFile: string | undefined }
): Partial<DaemonFiles> {
  if (!daemon && logFile !== undefined)
    throw new UsageError('--log-file is of a daemon; give --daemon, or redirect stderr');
  const given = {
    ...(pidFile !== undefined && { pidFile: context.localPath(pidFile) }),
    ...(logFile !== undefined && { logFile: context.localPath(logFile) })
  };
  if (!daemon) return given;
  const { stateDirectory } = context.world.environment;
  return { ...daemonFiles(directory, { stateDirectory, isRoot: process.getuid?.() === 0 }), ...given };
}

async function startInBackground(
  { world, output, signal }: CommandContext,
  drive: {
    readonly directory: string;
    readonly what: string;
    readonly files: Partial<DaemonFiles>;
    readonly isJson: boolean;
  }
): Promise<void> {
  const { directory, what, files } = drive;
  const started = await world.startDaemon({
    logFile: files.logFile!,
    signal,
    readyMsMax: READY_MS_MAX,
    endMsMax: END_MS_MAX
  });
  if (started.type === 'failed') {
    if (started.exitCode === 2) throw new UsageError(started.message);
    throw new CommandError(started.message);
  }
  const { pid } = started;
  if (drive.isJson) await output.json({ mount: directory, pid, ...files });
  else
    await output.line(
      `${what} is mounted at ${output.name(directory)} by process ${pid}. "${world.commandName} umount ${output.name(directory)}" unmounts it.`
    );
}

function nameOf(bucket: string, key: string): string {
  if (bucket === ALL_BUCKETS) return 'every bucket';
  return key === '' ? bucket : `${bucket}/${key}`;
}

/** `:all`, `BUCKET`, `BUCKET/PREFIX`, or one of the latter with `st:` before it. */
function parseTarget(text: string): { readonly bucket: string; readonly key: string } {
  if (text === ALL_BUCKETS) return { bucket: ALL_BUCKETS, key: '' };
  if (text.startsWith(`${ALL_BUCKETS}/`))
    throw new UsageError(`there is no prefix of all buckets; write mount ${ALL_BUCKETS} DIR`);
  const path = parseStorePath(text.startsWith('st:') ? text : `st:${text}`);
  if (path.bucket === undefined) throw new UsageError(`"${text}" names no bucket; write mount BUCKET DIR`);
  return { bucket: path.bucket, key: path.key };
}
