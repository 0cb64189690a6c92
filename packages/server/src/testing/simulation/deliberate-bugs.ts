import type { MetaLease, MetaStore, MetaTransaction } from '../../coordination/index.js';
import type { Disk, DiskFile } from '../../platform/index.js';
import type { RoleNetwork, RoleService } from '../../rpc/index.js';
import type { BugPlace, DeliberateBug } from './deliberate-bug.js';
import type { ScenarioName } from './fault.js';
import type { Outside } from './machine.js';
import {
  decodeRow,
  EXTENT_ROWS,
  type ExtentRow,
  extentPath,
  findExtentRow,
  LIST_ROWS,
  type ListRow
} from './stream-rows.js';
import { wireCopy } from './wire-copy.js';

/** A bug and a scenario that brings it out. */
export interface KnownBug extends DeliberateBug {
  readonly scenario: ScenarioName;
}

/** Where to begin to look for some that need many seeds: an earlier search ended there. */
export const FIRST_SEEDS: Readonly<Record<string, number>> = {
  'epochs are compared nowhere': 9,
  'nothing is compared': 33,
  'what is asked of the meta store counts as done': 10,
  'reads are not verified': 11,
  'a server serves on after its lease': 29,
  'a damaged block of the log is skipped': 34
};

const HEADER_BYTES = 4096;

type Call = (path: string, payload: unknown) => Promise<unknown>;
/** Answers a call instead of, or by way of, the right one. */
type Answering = (
  call: { readonly path: string; readonly payload: never },
  right: Call,
  place: BugPlace
) => Promise<unknown>;

/** Every way that is known to be wrong, each alone. None of them is in the product: they stand between it and its seams. */
export const DELIBERATE_BUGS: readonly KnownBug[] = [
  disk('a sync that syncs nothing', 'blackouts', (file) => ({ ...file, sync: async () => undefined })),
  onDisk('names that are never synced', 'blackouts', (right) => ({
    ...right,
    syncDirectory: async () => undefined
  })),
  calls('appends are acknowledged before they are stored', 'crashes', {
    'extentNode.append': async ({ path, payload }, right) => {
      right(path, wireCopy(payload)).catch(() => undefined);
    }
  }),
  calls('the freeze freezes nothing', 'steps', {
    'extentNode.freeze': async ({ payload }, _right, { machine }) => {
      const { extentId } = payload as { readonly extentId: number };
      return { state: 'frozen', length: storedLength(machine.memory.findDurableBytes(extentPath(extentId))) };
    }
  }),
  calls('what is not known counts as empty', 'everything', {
    'extentNode.freeze': async ({ path, payload }, right) => {
      await right(path, payload).catch(() => undefined);
      return { state: 'frozen', length: HEADER_BYTES };
    }
  }),
  calls('a new owner seals nothing', 'partitions', {
    'streamManager.openStream': async ({ path, payload }, right, { core, machine }) => {
      const { streamId, epoch } = payload as { readonly streamId: string; readonly epoch: number };
      const entry = core.find(LIST_ROWS + streamId);
      const list = decodeRow<ListRow>(entry);
      if (!entry || !list || epoch <= list.epoch) return await right(path, payload);
      const puts = [{ key: entry.key, value: encode({ ...list, epoch }) }];
      core.transact({ compares: [], puts });
      const extents = list.extentIds.map((extentId) => {
        const row = findExtentRow(core, extentId);
        const length = row?.length ?? storedLength(machine.memory.findDurableBytes(extentPath(extentId)));
        return { extentId, state: 'sealed', length };
      });
      return { extents };
    }
  }),
  calls('epochs are compared nowhere', 'pauses', {
    'extentNode.append': async ({ path, payload }, right, { core }) => {
      const message = payload as { readonly extentId: number; readonly epoch: number };
      const epoch = findExtentRow(core, message.extentId)?.ownerEpoch ?? message.epoch;
      return await right(path, { ...message, epoch });
    },
    'streamManager.allocateExtent': withNewestEpoch,
    'streamManager.sealExtent': withNewestEpoch,
    'streamManager.releaseExtents': withNewestEpoch
  }),
  meta('extents are sealed short of their last bytes', 'crashes', (right) => ({
    transact: (transaction, options) => right.transact(sealedShort(transaction), options)
  })),
  meta('a sealed extent is sealed again', 'everything', (right) => ({
    transact: (transaction, options) => right.transact(sealedLonger(transaction), options)
  })),
  meta('nothing is compared', 'everything', (right) => ({
    transact: (transaction, options) => right.transact({ ...transaction, compares: [] }, options)
  })),
  meta('what is asked of the meta store counts as done', 'coordination', (right) => ({
    transact: async (transaction, options) => {
      try {
        return await right.transact(transaction, options);
      } catch {
        return { committed: true, revision: Number.MAX_SAFE_INTEGER };
      }
    }
  })),
  meta('a server serves on after its lease', 'partitions', (right) => ({
    grantLease: async (timeToLiveMs, options) => endless(await right.grantLease(timeToLiveMs, options))
  })),
  calls('requests that are repeated are carried out again', 'repeats', {
    'partition.': async ({ path, payload }, right) => {
      const { requestId: _, ...rest } = payload as { readonly requestId?: string };
      return await right(path, rest);
    }
  }),
  calls('a damaged block of the log is skipped', 'rot', {
    'extentNode.scan': async ({ path, payload }, right) => {
      const message = payload as { readonly offset: number; readonly limit: number };
      for (let offset = message.offset; offset < message.limit; offset += 8) {
        const page = (await right(path, { ...message, offset })) as { readonly blocks: readonly unknown[] };
        if (page.blocks.length > 0) return page;
      }
      return await right(path, payload);
    }
  }),
  calls('reads are not verified', 'rot', {
    'extentNode.readBlock': async ({ path, payload }, right) => {
      const { extentId, blockOffset, start, length } = payload as Readonly<Record<string, number>>;
      try {
        return await right(path, payload);
      } catch {
        const offset = blockOffset! + 56 + start!;
        return await right('extentNode.fetch', { extentId, offset, length });
      }
    }
  }),
  calls('a listing leaves out its last key', 'calm', {
    'partition.objects.list': async ({ path, payload }, right) => {
      const page = (await right(path, payload)) as { readonly objects: readonly unknown[] };
      return { ...page, objects: page.objects.slice(0, Math.max(1, page.objects.length - 1)) };
    }
  }),
  meta('the stream manager reads old tables', 'crashes', (right) => ({
    range: async (prefix, options) => {
      const read = await right.range(prefix, options);
      return prefix === LIST_ROWS ? { ...read, entries: read.entries.slice(1) } : read;
    }
  }))
];

/** A wrong file of every disk. */
function disk(name: string, scenario: ScenarioName, wrong: (file: DiskFile) => DiskFile): KnownBug {
  return onDisk(name, scenario, (right) => ({
    ...right,
    createFile: async (path) => wrong(await right.createFile(path)),
    findFile: async (path) => {
      const file = await right.findFile(path);
      return file && wrong(file);
    }
  }));
}

function onDisk(name: string, scenario: ScenarioName, wrong: (right: Disk) => Disk): KnownBug {
  return { name, scenario, wrap: (outside) => ({ ...outside, disk: wrong(outside.disk) }) };
}

/** Some methods of the meta store are wrong. */
function meta(
  name: string,
  scenario: ScenarioName,
  wrong: (right: MetaStore) => Partial<MetaStore>
): KnownBug {
  const wrap = (outside: Outside): Outside => {
    const { meta: right } = outside;
    const changes: Record<string | symbol, unknown> = { ...wrong(right) };
    const changed = new Proxy(right, {
      get: (_target, method) => {
        const other = changes[method];
        if (other !== undefined) return other;
        const value: unknown = Reflect.get(right, method, right);
        return typeof value === 'function' ? value.bind(right) : value;
      }
    });
    return { ...outside, meta: changed };
  };
  return { name, scenario, wrap };
}

/** Some calls that the machine serves are answered wrong: those whose path begins so. */
function calls(name: string, scenario: ScenarioName, wrong: Readonly<Record<string, Answering>>): KnownBug {
  const wrap = (outside: Outside, place: BugPlace): Outside => {
    const network: RoleNetwork = {
      listen: (options) =>
        outside.network.listen({ ...options, service: answering(options.service, wrong, place) }),
      connect: (address) => outside.network.connect(address)
    };
    return { ...outside, network };
  };
  return { name, scenario, wrap };
}

function answering(
  service: RoleService,
  wrong: Readonly<Record<string, Answering>>,
  place: BugPlace
): RoleService {
  return {
    call(path, payload, options) {
      const right: Call = (other, message) => service.call(other, message, options);
      const found = Object.entries(wrong).find(([start]) => path.startsWith(start));
      return found ? found[1]({ path, payload: payload as never }, right, place) : right(path, payload);
    },
    subscribe: (path, payload, options) => service.subscribe(path, payload, options)
  };
}

async function withNewestEpoch(
  { path, payload }: { readonly path: string; readonly payload: never },
  right: Call,
  { core }: BugPlace
): Promise<unknown> {
  const message = payload as { readonly streamId: string };
  const epoch = decodeRow<ListRow>(core.find(LIST_ROWS + message.streamId))?.epoch;
  return await right(path, { ...message, epoch });
}

function sealedShort(transaction: MetaTransaction): MetaTransaction {
  return withExtents(transaction, (row) =>
    row.state === 'sealed' && row.length! > HEADER_BYTES ? { ...row, length: row.length! - 8 } : row
  );
}

/** Confirming a replica decides the length anew. */
function sealedLonger(transaction: MetaTransaction): MetaTransaction {
  return withExtents(transaction, (row) =>
    row.state === 'sealed' && row.unconfirmed.length < row.replicas.length
      ? { ...row, length: row.length! + 8 }
      : row
  );
}

function withExtents(transaction: MetaTransaction, change: (row: ExtentRow) => ExtentRow): MetaTransaction {
  const puts = transaction.puts?.map((put) =>
    put.key.startsWith(EXTENT_ROWS) ? { ...put, value: encode(change(decodeRow<ExtentRow>(put)!)) } : put
  );
  return puts ? { ...transaction, puts } : transaction;
}

/** Its holder never hears that it has ended. */
function endless(lease: MetaLease): MetaLease {
  return {
    leaseId: lease.leaseId,
    deadlineElapsedMs: () => Number.POSITIVE_INFINITY,
    lost: new AbortController().signal,
    revoke: () => lease.revoke()
  };
}

function storedLength(bytes: Uint8Array | undefined): number {
  return Math.max(HEADER_BYTES, bytes?.byteLength ?? 0);
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
