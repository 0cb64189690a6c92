import { constants } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { findErrno } from '../../errno.js';
import type { FileSystem } from '../../file-system.js';
import type { DriverOptions } from '../driver.js';
import type { Addon, Channel } from './addon.js';
import { AttributeOperations } from './attribute-operations.js';
import { DirectoryOperations } from './directory-operations.js';
import { FileOperations } from './file-operations.js';
import {
  EPOCH_MINOR_VERSION,
  INIT_FLAG,
  LOCK_INIT_FLAG,
  LONG_INIT_MINOR_VERSION,
  MINOR_VERSION,
  MINOR_VERSION_MIN,
  OPCODE,
  PROTOCOL
} from './fuse-constants.js';
import { NEWER_REPLY, REPLY, SHORT_INIT_BYTES, type Validity } from './fuse-replies.js';
import { allocateSlot, REQUEST, Request, type RequestSlot } from './fuse-requests.js';
import { HandleTable } from './handle-table.js';
import { Interrupts } from './interrupts.js';
import { KernelMemory } from './kernel-memory.js';
import { LockOperations } from './lock-operations.js';
import { MonitorOperations } from './monitor-operations.js';
import { NameOperations } from './name-operations.js';
import { NodeTable } from './node-table.js';
import { type OpenOutcome, Passthrough } from './passthrough.js';
import { PathLocks } from './path-locks.js';
import { RangeOperations } from './range-operations.js';
import { ReadBuffers } from './read-buffers.js';
import { BODY, HEAD_BYTES, Replies } from './replies.js';
import { RequestMonitor } from './request-monitor.js';
import type { Handlers, SessionContext } from './session-context.js';

/** What one read or write carries. */
const DATA_BYTES_MAX = 1024 * 1024;
const PAGE_BYTES = 4096;
/**
 * Writes that wait for memory keep theirs; when all are kept, nothing more is read. The lowest free one is used, and memory
 * that was never used is none: the later ones cost something only while that many writers wait.
 */
const SLOT_COUNT = 32;
const READ_BUFFERS_KEPT_MAX = 8;
const READAHEAD_BYTES = 1024 * 1024;
/** How long a closing session waits for what the kernel is being told. */
const NOTICE_MS_MAX = 2000;
const BACKGROUND_COUNT = 64;
const CONGESTION_COUNT = 48;
const NO_ANSWER: ReadonlySet<number> = new Set([
  OPCODE.FUSE_FORGET,
  OPCODE.FUSE_BATCH_FORGET,
  OPCODE.FUSE_INTERRUPT
]);
/** Wanted where the kernel has it. */
const WANTED = allOf(INIT_FLAG);
const WANTED_FOR_LOCKS = allOf(LOCK_INIT_FLAG);

const OPERATION_NAMES = new Map<number, string>(
  Object.entries(OPCODE).map(([name, opcode]) => [opcode, name])
);

export interface SessionOptions
  extends Pick<DriverOptions, 'attributeTtlMs' | 'onEvent' | 'monitor' | 'monitorFolder'> {
  readonly addon: Addon;
  /** Becomes the session's. */
  readonly device: number;
  readonly fileSystem: FileSystem;
}

/** One mount's talk with the kernel, from INIT until the device is closed. */
export class Session {
  /** Resolves when the kernel asks no more. */
  readonly ended: Promise<void>;
  readonly #options: SessionOptions;
  readonly #slots: readonly RequestSlot[];
  readonly #context: SessionContext;
  readonly #handlers: Handlers;
  readonly #locks: LockOperations;
  readonly #interrupts: Interrupts;
  readonly #monitor: RequestMonitor;
  readonly #monitorOperations: MonitorOperations;
  readonly #channel: Channel;

  constructor(options: SessionOptions) {
    const { addon, device, fileSystem, attributeTtlMs } = options;
    this.#options = options;
    this.#slots = Array.from({ length: SLOT_COUNT }, () => allocateSlot(DATA_BYTES_MAX));
    const head = Buffer.alloc(HEAD_BYTES);
    const nodes = new NodeTable();
    this.#monitor = new RequestMonitor(options.monitor, nodes);
    const replies = new Replies(addon, head, this.#monitor);
    const memory = new KernelMemory({
      nodes,
      isWatched: (path) => fileSystem.isWatched(path),
      isGuarded: (path) => fileSystem.isGuarded(path),
      unwatched: validityOf(attributeTtlMs)
    });
    const { onEvent, monitor } = options;
    const onOpen = (outcome: OpenOutcome) => monitor.opened(outcome);
    const passthrough = new Passthrough({ addon, fileSystem, nodes, memory, onEvent, onOpen });
    this.#context = {
      fileSystem,
      replies,
      nodes,
      handles: new HandleTable(),
      paths: new PathLocks(),
      memory,
      passthrough
    };
    this.#locks = new LockOperations(this.#context);
    this.#monitorOperations = new MonitorOperations(replies, options.monitorFolder({ canStream: true }));
    this.#interrupts = new Interrupts(replies);
    this.#handlers = this.#allHandlers();
    let end: () => void = () => undefined;
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.#channel = addon.attach(
      device,
      this.#slots.map(({ bytes }) => bytes),
      head,
      (slotIndex, length) => this.#receive(slotIndex, length),
      (errno) => {
        if (errno !== constants.errno.ENODEV) this.#reportBug('read', new Error(`/dev/fuse: errno ${errno}`));
        end();
      }
    );
    replies.channel = this.#channel;
    passthrough.channel = this.#channel;
  }

  /** Answers what is being done, within reason, and closes the device. */
  async close(): Promise<void> {
    const { replies, handles, memory, passthrough } = this.#context;
    this.#interrupts.close();
    // Requests are still answered, for which the kernel may hold a notice; what hangs ends with the device.
    await Promise.race([memory.close(), setTimeout(NOTICE_MS_MAX, undefined, { ref: false })]);
    replies.channel = undefined;
    this.#options.addon.detach(this.#channel);
    await passthrough.close();
    await handles.releaseAll();
  }

  /** Resolves when every request that was read is answered. */
  idle(): Promise<void> {
    this.#monitorOperations.close();
    this.#locks.close();
    return this.#context.replies.idle();
  }

  #allHandlers(): Handlers {
    const context = this.#context;
    const names = new NameOperations(context);
    const attributes = new AttributeOperations(context);
    const buffers = new ReadBuffers(DATA_BYTES_MAX, READ_BUFFERS_KEPT_MAX);
    return {
      ...names.handlers(),
      ...attributes.handlers(),
      ...new DirectoryOperations(context).handlers(),
      ...new FileOperations(context, { buffers, names, attributes }).handlers(),
      ...new RangeOperations(context, attributes).handlers(),
      ...(context.fileSystem.hasServerLocks && this.#locks.handlers()),
      [OPCODE.FUSE_INIT]: (request) => this.#init(request),
      [OPCODE.FUSE_DESTROY]: (request) => void context.replies.done(request.unique),
      [OPCODE.FUSE_INTERRUPT]: (request) => this.#interrupt(request.u64(REQUEST.fuse_interrupt_in.unique))
    };
  }

  #interrupt(unique: number): void {
    if (this.#monitorOperations.interrupted(unique) || this.#locks.interrupted(unique)) return;
    this.#interrupts.interrupted(unique);
  }

  /** Returns whether the request keeps its slot. */
  #receive(slotIndex: number, length: number): boolean {
    const { replies } = this.#context;
    const request = new Request(this.#slots[slotIndex]!, slotIndex, length);
    const { opcode, unique } = request;
    const isOfMonitor = this.#monitorOperations.concerns(request);
    if (!NO_ANSWER.has(opcode)) replies.begin(unique, this.#monitor.begin(request, isOfMonitor));
    const handler = isOfMonitor ? this.#monitorOperations.handler : this.#handlers[opcode];
    if (!handler) {
      replies.fail(unique, constants.errno.ENOSYS);
      return false;
    }
    try {
      handler(request)?.catch((error: unknown) => this.#fail(request, error));
    } catch (error) {
      this.#fail(request, error);
    }
    return request.isKept;
  }

  #fail({ unique, opcode }: Request, error: unknown): void {
    const errno = findErrno(error);
    // A program gets an answer whatever happens; a request without one would block it for ever.
    if (errno === undefined) this.#reportBug(OPERATION_NAMES.get(opcode) ?? String(opcode), error);
    this.#context.replies.fail(unique, errno ?? constants.errno.EIO);
  }

  #reportBug(operation: string, error: unknown): void {
    this.#options.onEvent({ type: 'bug', operation, error });
  }

  /** Agrees on a version and on what both sides can do. */
  #init(request: Request): void {
    const { replies } = this.#context;
    const { writer } = replies;
    const layout = REPLY.fuse_init_out;
    const major = request.u32(REQUEST.fuse_init_in.major);
    const minor = request.u32(REQUEST.fuse_init_in.minor);
    const isTooOld =
      major < PROTOCOL.FUSE_KERNEL_VERSION ||
      (major === PROTOCOL.FUSE_KERNEL_VERSION && minor < MINOR_VERSION_MIN);
    if (isTooOld) return void replies.fail(request.unique, constants.errno.EPROTO);
    writer.zeros(BODY, layout.bytes);
    writer.u32(BODY + layout.major, PROTOCOL.FUSE_KERNEL_VERSION);
    writer.u32(BODY + layout.minor, MINOR_VERSION);
    // A newer kernel asks again with our major version.
    if (major > PROTOCOL.FUSE_KERNEL_VERSION) return void replies.send(request.unique, layout.bytes);
    const offered = request.u32(REQUEST.fuse_init_in.flags);
    const { fileSystem, passthrough } = this.#context;
    const { hasServerLocks } = fileSystem;
    // What the kernel reads by itself it would not read anew with a lock.
    const flags2 = hasServerLocks ? 0 : passthrough.agree(offered, request.u32(REQUEST.fuse_init_in.flags2));
    const wanted = WANTED | (hasServerLocks ? WANTED_FOR_LOCKS : 0);
    const flags = offered & (flags2 === 0 ? wanted & ~INIT_FLAG.FUSE_INIT_EXT : wanted);
    const readahead = Math.max(request.u32(REQUEST.fuse_init_in.max_readahead), READAHEAD_BYTES);
    writer.u32(BODY + layout.max_readahead, readahead);
    writer.u32(BODY + layout.flags, flags);
    writer.u16(BODY + layout.max_background, BACKGROUND_COUNT);
    writer.u16(BODY + layout.congestion_threshold, CONGESTION_COUNT);
    writer.u32(BODY + layout.max_write, DATA_BYTES_MAX);
    writer.u32(BODY + layout.time_gran, 1);
    writer.u16(BODY + layout.max_pages, DATA_BYTES_MAX / PAGE_BYTES);
    writer.u32(BODY + layout.flags2, flags2);
    // One file system below, so that others may still be stacked on the drive.
    if (flags2 !== 0) writer.u32(BODY + NEWER_REPLY.fuse_init_out.max_stack_depth, 1);
    replies.send(request.unique, minor < LONG_INIT_MINOR_VERSION ? SHORT_INIT_BYTES : layout.bytes);
    this.#startNotices(minor >= EPOCH_MINOR_VERSION);
  }

  /** Where the kernel cannot be told of changes it is told nothing for long. */
  #startNotices(hasEpochs: boolean): void {
    const { addon, fileSystem } = this.#options;
    const { memory } = this.#context;
    if (addon.startNotifying(this.#channel) !== 0) return;
    const lane = (index: number) => (messages: Uint8Array, onDone: () => void) =>
      addon.notify(this.#channel, index, messages, onDone);
    memory.start(lane, { hasEpochs });
    fileSystem.follow(memory);
  }
}

function allOf(flags: Readonly<Record<string, number>>): number {
  return Object.values(flags).reduce((all, flag) => all | flag, 0);
}

function validityOf(ttlMs: number): Validity {
  const seconds = Math.floor(ttlMs / 1000);
  return { seconds, nanoseconds: Math.round((ttlMs - seconds * 1000) * 1e6) };
}
