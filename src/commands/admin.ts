import type { StampStatus } from '@stampede/client';
import { type CommandGroup, defineCommand } from '../command.js';
import { formatTime } from '../describe-object.js';
import type { Output } from '../output.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';
import { CommandError } from '../usage-error.js';
import { drain, extents, members, operatorCall, remove, scrub } from './admin-members.js';

const status = defineCommand({
  name: 'status',
  parameters: '',
  summary: 'show the state of the stamp: space, extent nodes, range partitions',
  options: { json: jsonOption('it as JSON'), ...connectionOptions },
  example: 'status',
  async run(context, _parameters, options) {
    const store = await context.store(options);
    const found = await store.admin.status(operatorCall(context));
    if (options.json) await context.output.json(found);
    else await print(context.output, found);
    if (found.state === 'unavailable')
      throw new CommandError('some keys are served by nobody; see the problems');
  }
});

export const admin: CommandGroup = {
  name: 'admin',
  summary: 'operate a stamp',
  commands: [status, members, extents, drain, remove, scrub]
};

async function print(output: Output, found: StampStatus): Promise<void> {
  const { space, extentNodes, partitions } = found;
  await output.table([
    ['state', STATES[found.state]],
    ['version', found.version],
    ['started', formatTime(found.startedAtMs)],
    ['durability', found.durability],
    ['space', `${formatSize(space.freeBytes)} free of ${formatSize(space.totalBytes)}`]
  ]);
  const { problems = [] } = found;
  if (problems.length > 0) await output.line('');
  for (const problem of problems) await output.line(`problem: ${problem}`);
  if (extentNodes.length > 0) await output.line('');
  await output.table(
    extentNodes.map((node) => [
      node.memberId,
      node.faultDomain,
      String(node.extentCount),
      formatSize(node.freeBytes),
      formatSize(node.totalBytes)
    ]),
    { head: ['EXTENT NODE', 'FAULT DOMAIN', 'EXTENTS', 'FREE', 'TOTAL'], rightAligned: [2, 3, 4] }
  );
  if (partitions.length > 0) await output.line('');
  await output.table(
    partitions.map((partition) => [
      partition.partitionId,
      rangeText(partition),
      String(partition.epoch),
      String(partition.objectCount),
      String(partition.lastSequence),
      String(partition.logExtentCount),
      String(partition.dataExtentCount)
    ]),
    {
      head: ['PARTITION', 'KEYS', 'EPOCH', 'OBJECTS', 'SEQUENCE', 'LOG EXTENTS', 'DATA EXTENTS'],
      rightAligned: [2, 3, 4, 5, 6]
    }
  );
}

const STATES: Readonly<Record<StampStatus['state'], string>> = {
  ready: 'ready',
  full: 'full: it takes no more bytes; free or add space',
  unavailable: 'unavailable: some keys are served by nobody'
};

/** Half-open; an empty end is the end of all keys. */
function rangeText({ startKey, endKey }: StampStatus['partitions'][number]): string {
  return `[${JSON.stringify(startKey)}, ${endKey === '' ? 'end' : JSON.stringify(endKey)})`;
}
