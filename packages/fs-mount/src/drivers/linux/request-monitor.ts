import { constants } from 'node:os';
import type { CallCount, Monitor, OperationSubject } from '../../monitor/index.js';
import { OPCODE } from './fuse-constants.js';
import { REQUEST, type Request } from './fuse-requests.js';
import type { NodeTable } from './node-table.js';

/** A request that waits for its answer. */
export interface Started {
  readonly opcode: number;
  /** Undefined for what the mount says of itself: to read that would otherwise go on for ever. */
  readonly count: CallCount | undefined;
  readonly startedAtMs: number;
  readonly bytes: number;
  readonly subject: OperationSubject | undefined;
  /** That a name is not there is a good answer to the kernel, and ENOENT to the program. */
  isNoEntry: boolean;
}

/** Where the name lies in requests that are about a name in a directory. */
const NAME_OFFSETS: Readonly<Record<number, number>> = {
  [OPCODE.FUSE_LOOKUP]: 0,
  [OPCODE.FUSE_UNLINK]: 0,
  [OPCODE.FUSE_RMDIR]: 0,
  [OPCODE.FUSE_SYMLINK]: 0,
  [OPCODE.FUSE_MKDIR]: REQUEST.fuse_mkdir_in.bytes,
  [OPCODE.FUSE_MKNOD]: REQUEST.fuse_mknod_in.bytes,
  [OPCODE.FUSE_CREATE]: REQUEST.fuse_create_in.bytes,
  [OPCODE.FUSE_RENAME]: REQUEST.fuse_rename_in.bytes,
  [OPCODE.FUSE_RENAME2]: REQUEST.fuse_rename2_in.bytes
};
const NAMES = new Map<number, string>(
  Object.entries(OPCODE).map(([name, opcode]) => [opcode, name.slice('FUSE_'.length).toLowerCase()])
);
const UNKNOWN_OPCODE = 0;
const { ENOENT } = constants.errno;

/** Tells the monitor of requests and their answers. */
export class RequestMonitor {
  readonly #monitor: Monitor;
  readonly #nodes: NodeTable;
  readonly #counts: CallCount[] = [];

  constructor(monitor: Monitor, nodes: NodeTable) {
    this.#monitor = monitor;
    this.#nodes = nodes;
    this.#counts[UNKNOWN_OPCODE] = monitor.operations.of('unknown');
    for (const [opcode, name] of NAMES) this.#counts[opcode] = monitor.operations.of(name);
  }

  begin(request: Request, isOfMonitor: boolean): Started {
    const { opcode } = request;
    const isLogged = !isOfMonitor && this.#monitor.log.isRead;
    return {
      opcode,
      count: isOfMonitor ? undefined : (this.#counts[opcode] ?? this.#counts[UNKNOWN_OPCODE]),
      startedAtMs: this.#monitor.nowMs(),
      bytes: opcode === OPCODE.FUSE_WRITE ? request.u32(REQUEST.fuse_write_in.size) : 0,
      subject: isLogged ? this.#subjectOf(request) : undefined,
      isNoEntry: false
    };
  }

  ended(started: Started, answered: number, bodyBytes: number): void {
    const { opcode, count, startedAtMs, bytes, subject, isNoEntry } = started;
    const errno = isNoEntry ? ENOENT : answered;
    if (count === undefined) return;
    if (errno === 0 && opcode === OPCODE.FUSE_READ) this.#monitor.readBytes += bodyBytes;
    if (errno === 0) this.#monitor.writtenBytes += bytes;
    this.#monitor.ended(count, { startedAtMs, errno, subject });
  }

  #subjectOf(request: Request): OperationSubject {
    const { opcode, nodeId, uid } = request;
    const path = this.#pathOf(nodeId);
    const who = `uid=${uid}`;
    const nameOffset = NAME_OFFSETS[opcode];
    if (opcode === OPCODE.FUSE_RENAME || opcode === OPCODE.FUSE_RENAME2) {
      const [name, newName] = request.texts(nameOffset!);
      const to = below(this.#pathOf(request.u64(REQUEST.fuse_rename_in.newdir)), newName);
      return { path: below(path, name), details: `to=${JSON.stringify(to)} ${who}` };
    }
    if (nameOffset !== undefined) return { path: below(path, request.text(nameOffset)), details: who };
    if (opcode !== OPCODE.FUSE_READ && opcode !== OPCODE.FUSE_WRITE) return { path, details: who };
    const layout = REQUEST.fuse_read_in;
    return { path, details: `${request.u64(layout.offset)}+${request.u32(layout.size)} ${who}` };
  }

  /** What was removed while it is open has no path any more. */
  #pathOf(id: number): string {
    const node = this.#nodes.find(id);
    if (!node) return `#${id}`;
    return node.parent || node === this.#nodes.root ? this.#nodes.pathOf(node) : `${node.name} (removed)`;
  }
}

function below(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}
