import { FileSystemError } from '../../errno.js';
import type { FileHandle } from '../../file-handle.js';
import type { AttributeOperations } from './attribute-operations.js';
import { OPCODE } from './fuse-constants.js';
import { REPLY } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import type { Node } from './node-table.js';
import { BODY } from './replies.js';
import type { Handlers, SessionContext } from './session-context.js';

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;
const SEEK_DATA = 3;

/** What is done with ranges of files without their bytes. */
export class RangeOperations {
  readonly #context: SessionContext;
  readonly #attributes: AttributeOperations;

  constructor(context: SessionContext, attributes: AttributeOperations) {
    this.#context = context;
    this.#attributes = attributes;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_FALLOCATE]: (request) => this.#fallocate(request),
      [OPCODE.FUSE_LSEEK]: (request) => this.#lseek(request),
      [OPCODE.FUSE_COPY_FILE_RANGE]: (request) => this.#copyFileRange(request)
    };
  }

  /** Space is taken when bytes come: to allocate is to grow. Holes and zeroed ranges read as zeros and take none. */
  async #fallocate(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_fallocate_in;
    const { handle, node } = handles.file(request.u64(layout.fh));
    const offset = request.u64(layout.offset);
    const end = offset + request.u64(layout.length);
    const mode = request.u32(layout.mode);
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) !== 0)
      throw new FileSystemError('EOPNOTSUPP', 'ranges are not collapsed or inserted');
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) !== 0) await handle.punch(offset, end);
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > handle.state.size) await handle.truncate(end);
    // Also where no byte is another one than before.
    handle.state.modified();
    await this.#changed(node, request);
    replies.done(request.unique);
  }

  async #lseek(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_lseek_in;
    const { handle, node } = handles.file(request.u64(layout.fh));
    const offset = request.u64(layout.offset);
    const wanted = request.u32(layout.whence) === SEEK_DATA ? 'data' : 'hole';
    const found = (await this.#collectMapped(node, offset))
      ? await handle.seek(offset, wanted)
      : wholeSeek(handle, offset, wanted);
    replies.writer.u64(BODY + REPLY.fuse_lseek_out.offset, found);
    replies.send(request.unique, REPLY.fuse_lseek_out.bytes);
  }

  /** What a mapping has changed is not here by itself; false where it cannot be had, and nothing is surely a hole. */
  async #collectMapped(node: Node, offset: number): Promise<boolean> {
    const { nodes, memory } = this.#context;
    for (const mapped of nodes.mappableOf(node))
      if (!(await memory.collectBytes(mapped, offset))) return false;
    return true;
  }

  async #copyFileRange(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_copy_file_range_in;
    const source = handles.file(request.u64(layout.fh_in)).handle;
    const target = handles.file(request.u64(layout.fh_out));
    const copied = await target.handle.cloneFrom(source, {
      sourceOffset: request.u64(layout.off_in),
      offset: request.u64(layout.off_out),
      length: request.u64(layout.len)
    });
    // The kernel reads and writes them then.
    if (copied === undefined) throw new FileSystemError('EOPNOTSUPP', 'the bytes are copied one by one');
    await this.#changed(target.node, request);
    replies.writer.u32(BODY + REPLY.fuse_write_out.size, copied);
    replies.writer.u32(BODY + REPLY.fuse_write_out.size + 4, 0);
    replies.send(request.unique, REPLY.fuse_write_out.bytes);
  }

  /** As after a write; of these the kernel does not say that a program loses its set-user-id bit. */
  async #changed(node: Node, { uid }: Request): Promise<void> {
    const { nodes, paths, passthrough } = this.#context;
    await passthrough.changed(node);
    if (uid === 0) return;
    await paths.shared(
      () => nodes.pathOf(node),
      (path) => this.#attributes.killSetId(path)
    );
  }
}

/** As for a file without holes. */
function wholeSeek({ state }: FileHandle, offset: number, wanted: 'data' | 'hole'): number {
  if (offset >= state.size) throw new FileSystemError('ENXIO', 'behind the end of the file');
  return wanted === 'data' ? offset : state.size;
}
