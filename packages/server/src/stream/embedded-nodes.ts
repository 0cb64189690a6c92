import { type FaultDomain, type MemberId, memberId, StoreError } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import type { Clock, Disk, Random } from '../platform/index.js';
import { ExtentNode } from './extent-node.js';
import type { ExtentNodeStatus, FindExtentNode } from './extent-node-api.js';
import { Heartbeats, type HeartbeatsOptions } from './heartbeats.js';
import { decodeMember, encodeMember, MEMBER_PREFIX, memberIdOf, memberKey } from './member-record.js';
import type { OnStreamEvent } from './stream-event.js';

const MEMBER_FILE = 'member-id';

export interface ExtentFolder {
  /** Absolute. Created when this meta store has never seen its fault domain; else a missing one is a lost disk. */
  readonly directory: string;
  /** Of a new folder; an existing one keeps its own. Random when absent. */
  readonly memberId?: MemberId;
  /** A rack, or whatever may fail as one; unique among the folders. */
  readonly faultDomain: FaultDomain;
}

export interface EmbeddedNodesOptions {
  readonly folders: readonly ExtentFolder[];
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly metaStore: MetaStore;
  readonly openFilesMax: number;
  readonly spaceHighWatermark: number;
  readonly onEvent: OnStreamEvent;
  /** Nodes of other processes, to copy replicas from. */
  readonly findOther?: FindExtentNode | undefined;
}

/** The extent nodes of one process. One whose folder cannot be used is absent until it can. */
export class EmbeddedNodes {
  readonly #options: EmbeddedNodesOptions;
  readonly #nodes = new Map<MemberId, ExtentNode>();
  /** Without a node for now. */
  #unavailable: readonly ExtentFolder[];
  #opening: Promise<void> | undefined;
  #heartbeats: HeartbeatsOptions | undefined;
  readonly #beating: Heartbeats[] = [];

  private constructor(options: EmbeddedNodesOptions) {
    this.#options = options;
    this.#unavailable = options.folders;
  }

  static async open(options: EmbeddedNodesOptions): Promise<EmbeddedNodes> {
    const nodes = new EmbeddedNodes(options);
    await nodes.openUnavailable();
    if (nodes.#nodes.size > 0) return nodes;
    const directories = options.folders.map((folder) => folder.directory).join(', ');
    throw new StoreError(
      'DiskFailed',
      `No extent folder can be used: ${directories}. Check that they are there.`
    );
  }

  /** Tries the folders again that could not be used. Calls meanwhile share it: two nodes must not open one folder. */
  openUnavailable(): Promise<void> {
    this.#opening ??= this.#openUnavailable().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openUnavailable(): Promise<void> {
    const failed: ExtentFolder[] = [];
    for (const folder of this.#unavailable) {
      const id = await this.#findRegistered(folder);
      try {
        const node = await this.#openNode(folder, id);
        this.#nodes.set(node.lastStatus().memberId, node);
        this.#beat(node);
      } catch (cause) {
        failed.push(folder);
        const { directory, faultDomain } = folder;
        const known = id ?? folder.memberId ?? memberId(faultDomain);
        this.#options.onEvent({ type: 'node-unavailable', memberId: known, faultDomain, directory, cause });
      }
    }
    this.#unavailable = failed;
  }

  #beat(node: ExtentNode): void {
    if (this.#heartbeats) this.#beating.push(new Heartbeats(node, this.#heartbeats));
  }

  /** Has each node, also those that are opened later, tell the stream manager that it lives. */
  startHeartbeats(options: HeartbeatsOptions): void {
    this.#heartbeats = options;
    for (const node of this.#nodes.values()) this.#beat(node);
  }

  async #openNode(folder: ExtentFolder, registered: MemberId | undefined): Promise<ExtentNode> {
    const { disk, clock, openFilesMax, spaceHighWatermark } = this.#options;
    const id = await this.#openFolder(folder, registered);
    return await ExtentNode.open({
      disk,
      clock,
      directory: extentDirectory(folder),
      memberId: id,
      faultDomain: folder.faultDomain,
      findNode: (other) => this.#nodes.get(other) ?? this.#options.findOther?.(other),
      openFilesMax,
      spaceHighWatermark
    });
  }

  /** The folder says who it is, wherever it is mounted; one that is empty although it was used has lost its disk. */
  async #openFolder(folder: ExtentFolder, registered: MemberId | undefined): Promise<MemberId> {
    const { disk, random } = this.#options;
    const path = `${folder.directory}/${MEMBER_FILE}`;
    const bytes = await disk.findBytes(path);
    if (!bytes && registered) {
      throw new StoreError(
        'DiskFailed',
        `${path} is missing, but extent node ${registered} was there. Mount its disk, or use a new fault domain.`
      );
    }
    const id = bytes
      ? memberId(Buffer.from(bytes).toString().trim())
      : (folder.memberId ?? memberId(random.uuid()));
    if (!bytes) {
      await disk.createDirectory(extentDirectory(folder));
      await disk.writeBytes(path, Buffer.from(`${id}\n`));
    }
    if (registered !== id) await this.#register(id, folder);
    return id;
  }

  async #register(id: MemberId, { faultDomain }: ExtentFolder): Promise<void> {
    const { metaStore } = this.#options;
    const key = memberKey(id);
    const known = await metaStore.find(key);
    const value = encodeMember({ ...(known && decodeMember(known)), faultDomain });
    const compares = [{ key, revision: known?.revision ?? 0 }];
    const { committed } = await metaStore.transact({ compares, puts: [{ key, value }] });
    if (!committed) throw new StoreError('ServiceUnavailable', `The record of ${id} changed. Try again.`);
  }

  /** The member that last had this folder. */
  async #findRegistered({ faultDomain, memberId: named }: ExtentFolder): Promise<MemberId | undefined> {
    if (this.#options.findOther) {
      // Nodes of other processes may be in the same fault domain.
      const known = named !== undefined && (await this.#options.metaStore.find(memberKey(named)));
      return known ? named : undefined;
    }
    const { entries } = await this.#options.metaStore.range(MEMBER_PREFIX);
    const entry = entries.find((candidate) => decodeMember(candidate).faultDomain === faultDomain);
    return entry && memberIdOf(entry.key);
  }

  all(): readonly ExtentNode[] {
    return [...this.#nodes.values()];
  }

  readonly find = (id: MemberId): ExtentNode | undefined => this.#nodes.get(id);

  readonly reachable = (): readonly ExtentNodeStatus[] =>
    [...this.#nodes.values()].map((node) => node.lastStatus());

  /** Measured anew. */
  async status(): Promise<readonly ExtentNodeStatus[]> {
    return await Promise.all(
      [...this.#nodes.values()].map((node) => node.status().catch(() => node.lastStatus()))
    );
  }

  async close(): Promise<void> {
    for (const heartbeats of this.#beating) heartbeats[Symbol.dispose]();
    await Promise.all([...this.#nodes.values()].map((node) => node.close()));
  }
}

function extentDirectory({ directory }: ExtentFolder): string {
  return `${directory}/extents`;
}
