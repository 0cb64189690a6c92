import type { CallOptions, StampExtents, StampMembers } from '@stampede/client';
import { defineCommand, flag, value } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { formatTime } from '../describe-object.js';
import { parseCount, parseOneOf } from '../option-values.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';

/* What an operator asks and orders about extent nodes and their replicas. */

/** An operator wants to know soon that nobody can answer: longer than a failover, and no more. */
const DEADLINE_MS = 10_000;

export function operatorCall({ signal }: CommandContext): CallOptions {
  return { signal, deadlineMs: DEADLINE_MS };
}

const FILTERS = ['all', 'open', 'under-replicated', 'damaged', 'moving'] as const;

export const members = defineCommand({
  name: 'members',
  parameters: '',
  summary: 'list the extent nodes: whether they live, what they hold, their last scrub',
  options: { json: jsonOption('them as JSON'), ...connectionOptions },
  example: 'members',
  async run(context, _parameters, options) {
    const store = await context.store(options);
    const found = await store.admin.members(operatorCall(context));
    if (options.json) return await context.output.json(found);
    const rows = found.members.map((member) => [
      member.memberId,
      member.faultDomain,
      stateText(member),
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
    const found = await store.admin.extents(input, operatorCall(context));
    if (json) return await context.output.json(found);
    if (found.extents.length === 0) await context.output.line('no such extents');
    else await context.output.table(extentRows(found), EXTENT_COLUMNS);
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
  options: {
    cancel: flag('--cancel', 'let it take replicas again'),
    json: jsonOption('what was ordered as JSON'),
    ...connectionOptions
  },
  example: 'drain node-3',
  async run(context, [memberId = ''], { cancel, json, ...options }) {
    const store = await context.store(options);
    await store.admin.drain({ memberId, cancel }, operatorCall(context));
    if (json) return await context.output.json({ memberId, duty: cancel ? 'active' : 'draining' });
    await context.output.line(cancel ? `${memberId} takes replicas again` : `${memberId} is being drained`);
  }
});

export const remove = defineCommand({
  name: 'remove',
  parameters: '<member>',
  summary: 'forget an extent node that has nothing left and does not run',
  options: { json: jsonOption('what was forgotten as JSON'), ...connectionOptions },
  example: 'remove node-3',
  async run(context, [memberId = ''], { json, ...options }) {
    const store = await context.store(options);
    await store.admin.removeMember({ memberId }, operatorCall(context));
    if (json) return await context.output.json({ memberId });
    await context.output.line(`${memberId} is forgotten`);
  }
});

export const scrub = defineCommand({
  name: 'scrub',
  parameters: '[member...]',
  summary: 'begin to verify every block of every sealed extent now',
  details: 'It goes on in the background, held to a rate; "members" shows how far it is and what it found.',
  options: { json: jsonOption('what was ordered as JSON'), ...connectionOptions },
  example: 'scrub',
  async run(context, memberIds, { json, ...options }) {
    const store = await context.store(options);
    const input = memberIds.length > 0 ? { memberIds: [...memberIds] } : {};
    const endMs = performance.now() + DEADLINE_MS;
    // Looked at before: a look that fails after the order would tell of an order that was followed as one that was not.
    const { members: all } = await store.admin.members(operatorCall(context));
    const deadlineMs = Math.max(1, endMs - performance.now());
    await store.admin.scrub(input, { ...operatorCall(context), deadlineMs });
    const ordered = all.filter(({ memberId }) => memberIds.length === 0 || memberIds.includes(memberId));
    if (json) {
      await context.output.json(ordered.map(({ memberId, liveness }) => ({ memberId, liveness })));
      return;
    }
    await context.output.line('scrubbing has begun; "admin members" shows how far it is');
    for (const { memberId, liveness } of ordered)
      if (liveness !== 'up')
        await context.output.line(`${memberId} is ${liveness}: its turn comes when it is back`);
  }
});

const EXTENT_COLUMNS = {
  head: ['EXTENT', 'STATE', 'LENGTH', 'REPLICAS', 'WHERE'],
  rightAligned: [0, 2, 3]
};

function extentRows({ extents: found }: StampExtents): string[][] {
  return found.map((extent) => [
    String(extent.extentId),
    extent.state,
    extent.length === undefined ? '' : formatSize(extent.length),
    `${extent.replicas.length}/${extent.wantedCount}`,
    extent.replicas.map(replicaText).join(' ')
  ]);
}

function stateText({ liveness, duty, silentMs }: StampMembers['members'][number]): string {
  const state = liveness === 'up' ? 'up' : `${liveness} for ${Math.round(silentMs / 1000)} s`;
  return duty === 'active' ? state : `${state}, ${duty}`;
}

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
