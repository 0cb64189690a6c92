import type { StampExtents, StampMembers } from '@stampede/client';
import { defineCommand, flag, value } from '../command.js';
import { formatTime } from '../describe-object.js';
import { parseCount, parseOneOf } from '../option-values.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';

/* What an operator asks and orders about extent nodes and their replicas. */

const FILTERS = ['all', 'open', 'under-replicated', 'damaged', 'moving'] as const;

export const members = defineCommand({
  name: 'members',
  parameters: '',
  summary: 'list the extent nodes: whether they live, what they hold, their last scrub',
  options: { json: jsonOption('them as JSON'), ...connectionOptions },
  example: 'members',
  async run(context, _parameters, options) {
    const store = await context.store(options);
    const found = await store.admin.members({ signal: context.signal });
    if (options.json) return await context.output.json(found);
    const rows = found.members.map((member) => [
      member.memberId,
      member.faultDomain,
      member.duty === 'active' ? member.liveness : `${member.liveness}, ${member.duty}`,
      String(member.replicaCount),
      formatSize(member.replicaBytes),
      `${formatSize(member.freeBytes)}${member.isFull ? ' (full)' : ''}`,
      scrubText(member.scrub)
    ]);
    await context.output.table(rows, {
      head: ['MEMBER', 'FAULT DOMAIN', 'STATE', 'REPLICAS', 'BYTES', 'FREE', 'SCRUB'],
      rightAligned: [3, 4, 5]
    });
  }
});

export const extents = defineCommand({
  name: 'extents',
  parameters: '',
  summary: 'list extents with their replicas, and what there is to repair',
  options: {
    filter: value('--filter <kind>', `only those: ${FILTERS.join(', ')}`, parseOneOf(FILTERS)),
    after: value('--after <id>', 'begin behind this one', parseCount),
    json: jsonOption('them as JSON'),
    ...connectionOptions
  },
  example: 'extents --filter under-replicated',
  async run(context, _parameters, { filter, after, json, ...options }) {
    const store = await context.store(options);
    const input = { ...(filter && { filter }), ...(after !== undefined && { after }) };
    const found = await store.admin.extents(input, { signal: context.signal });
    if (json) return await context.output.json(found);
    await context.output.table(
      found.extents.map((extent) => [
        String(extent.extentId),
        extent.state,
        extent.length === undefined ? '' : formatSize(extent.length),
        `${extent.replicas.length}/${extent.wantedCount}`,
        extent.replicas.map(replicaText).join(' ')
      ]),
      { head: ['EXTENT', 'STATE', 'LENGTH', 'REPLICAS', 'WHERE'], rightAligned: [0, 2, 3] }
    );
    if (found.isTruncated)
      await context.output.line(`more follow: --after ${found.extents.at(-1)?.extentId ?? 0}`);
    await context.output.line('');
    await context.output.table(totalRows(found.totals));
  }
});

export const drain = defineCommand({
  name: 'drain',
  parameters: '<member>',
  summary: 'move everything off an extent node, so that it can be taken away',
  details:
    'It goes on in the background: "members" says drained when nothing is left. Then stop the node and remove it.',
  options: { cancel: flag('--cancel', 'let it take replicas again'), ...connectionOptions },
  example: 'drain node-3',
  async run(context, [memberId = ''], { cancel, ...options }) {
    const store = await context.store(options);
    await store.admin.drain({ memberId, cancel }, { signal: context.signal });
    await context.output.line(cancel ? `${memberId} takes replicas again` : `${memberId} is being drained`);
  }
});

export const remove = defineCommand({
  name: 'remove',
  parameters: '<member>',
  summary: 'forget an extent node that has nothing left and does not run',
  options: connectionOptions,
  example: 'remove node-3',
  async run(context, [memberId = ''], options) {
    const store = await context.store(options);
    await store.admin.removeMember({ memberId }, { signal: context.signal });
    await context.output.line(`${memberId} is forgotten`);
  }
});

export const scrub = defineCommand({
  name: 'scrub',
  parameters: '[member...]',
  summary: 'begin to verify every block of every sealed extent now',
  details: 'It goes on in the background, held to a rate; "members" shows how far it is and what it found.',
  options: connectionOptions,
  example: 'scrub',
  async run(context, memberIds, options) {
    const store = await context.store(options);
    await store.admin.scrub(memberIds.length > 0 ? { memberIds: [...memberIds] } : {}, {
      signal: context.signal
    });
    await context.output.line('scrubbing has begun; "admin members" shows how far it is');
  }
});

function scrubText({
  startedAtMs,
  finishedAtMs,
  verifiedBytes,
  corruptCount,
  repairedCount
}: StampMembers['members'][number]['scrub']): string {
  if (startedAtMs === undefined) return 'not yet';
  const found = corruptCount === 0 ? 'clean' : `${corruptCount} bad, ${repairedCount} repaired`;
  const when = finishedAtMs === undefined ? 'under way' : formatTime(finishedAtMs);
  return `${when}, ${formatSize(verifiedBytes)}, ${found}`;
}

function replicaText({ memberId, condition }: StampExtents['extents'][number]['replicas'][number]): string {
  return condition === 'good' ? memberId : `${memberId} (${condition})`;
}

function totalRows(totals: StampExtents['totals']): string[][] {
  return [
    ['extents', `${totals.extentCount}, ${totals.openCount} of them open`],
    ['under-replicated', String(totals.underReplicatedCount)],
    ['damaged', String(totals.damagedCount)],
    ['unavailable', String(totals.unavailableCount)],
    ['moving', String(totals.movingCount)],
    ['to copy', formatSize(totals.bytesToCopy)]
  ];
}
