import type { FileSystem } from '../../file-system.js';
import type { Request } from './fuse-requests.js';
import type { HandleTable } from './handle-table.js';
import type { KernelMemory } from './kernel-memory.js';
import type { NodeTable } from './node-table.js';
import type { Passthrough } from './passthrough.js';
import type { PathLocks } from './path-locks.js';
import type { Replies } from './replies.js';

/** What the operations of one mount share. */
export interface SessionContext {
  readonly fileSystem: FileSystem;
  readonly nodes: NodeTable;
  readonly handles: HandleTable;
  readonly memory: KernelMemory;
  readonly replies: Replies;
  readonly passthrough: Passthrough;
  readonly paths: PathLocks;
}

/** Answers one kind of request; what it throws is answered with an errno. */
export type Handler = (request: Request) => Promise<void> | void;

/** By opcode. */
export type Handlers = { readonly [opcode: number]: Handler };
