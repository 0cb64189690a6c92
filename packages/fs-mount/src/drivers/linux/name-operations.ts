import type { Attributes } from '../../attributes.js';
import { FileSystemError } from '../../errno.js';
import { OPCODE } from './fuse-constants.js';
import type { Validity } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import { aliasFor, type Node } from './node-table.js';
import type { Handlers, SessionContext } from './session-context.js';

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const S_ISGID = 0o2000;

/** Finding, making, removing and renaming names. */
export class NameOperations {
  readonly #context: SessionContext;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_LOOKUP]: (request) => this.#lookup(request),
      [OPCODE.FUSE_FORGET]: (request) => this.#forget(request),
      [OPCODE.FUSE_BATCH_FORGET]: (request) => this.#batchForget(request),
      [OPCODE.FUSE_MKDIR]: (request) => this.#mkdir(request),
      [OPCODE.FUSE_MKNOD]: (request) => this.#mknod(request),
      [OPCODE.FUSE_SYMLINK]: (request) => this.#symlink(request),
      [OPCODE.FUSE_LINK]: (request) => this.#link(request),
      [OPCODE.FUSE_UNLINK]: (request) => this.#unlink(request),
      [OPCODE.FUSE_RMDIR]: (request) => this.#rmdir(request),
      [OPCODE.FUSE_RENAME]: (request) => this.#rename(request, REQUEST.fuse_rename_in.bytes, 0),
      [OPCODE.FUSE_RENAME2]: (request) =>
        this.#rename(request, REQUEST.fuse_rename2_in.bytes, request.u32(REQUEST.fuse_rename2_in.flags))
    };
  }

  async #lookup(request: Request): Promise<void> {
    const { fileSystem, paths, replies, memory } = this.#context;
    const place = this.#place(request, request.text(0));
    await paths.shared(place.pathOf, async (path) => {
      const mark = memory.mark(path);
      const attributes = await fileSystem.findAttributes(path);
      if (attributes) this.#answerEntry(request.unique, place, attributes, memory.validityOf(path, mark));
      else replies.noEntry(request.unique, memory.absenceOf(path, mark));
    });
  }

  #forget(request: Request): void {
    this.#context.nodes.forget(request.nodeId, request.u64(REQUEST.fuse_forget_in.nlookup));
  }

  #batchForget(request: Request): void {
    const { bytes, nodeid, nlookup } = REQUEST.fuse_forget_one;
    const first = REQUEST.fuse_batch_forget_in.bytes;
    const count = Math.min(
      request.u32(REQUEST.fuse_batch_forget_in.count),
      Math.floor((request.bodyBytes - first) / bytes)
    );
    for (let index = 0; index < count; index++) {
      const at = first + index * bytes;
      this.#context.nodes.forget(request.u64(at + nodeid), request.u64(at + nlookup));
    }
  }

  async #mkdir(request: Request): Promise<void> {
    const mode = request.u32(REQUEST.fuse_mkdir_in.mode);
    const place = this.#place(request, request.text(REQUEST.fuse_mkdir_in.bytes));
    await this.#makeNew(request, place, (path, owner) =>
      this.#context.fileSystem.mkdir(path, owner.isInherited ? mode | S_ISGID : mode, owner)
    );
  }

  async #mknod(request: Request): Promise<void> {
    const mode = request.u32(REQUEST.fuse_mknod_in.mode);
    const rdev = request.u32(REQUEST.fuse_mknod_in.rdev);
    const place = this.#place(request, request.text(REQUEST.fuse_mknod_in.bytes));
    await this.#makeNew(request, place, (path, owner) =>
      this.#context.fileSystem.mknod(path, mode, rdev, owner)
    );
  }

  async #symlink(request: Request): Promise<void> {
    const [name, target] = request.texts(0);
    const place = this.#place(request, name);
    await this.#makeNew(request, place, (path, owner) =>
      this.#context.fileSystem.symlink(path, target, owner)
    );
  }

  #link(_request: Request): void {
    throw new FileSystemError('EPERM', 'a bucket has no hard links; copy the file');
  }

  async #unlink(request: Request): Promise<void> {
    const { nodes, fileSystem, paths, replies } = this.#context;
    const { parent, name, pathOf } = this.#place(request, request.text(0));
    await paths.exclusive(
      () => [pathOf()],
      async ([path]) => {
        const node = nodes.findChild(parent, name);
        const alias = this.#aliasOf(node);
        await fileSystem.unlink(path!, alias === undefined ? {} : { alias });
        if (node) nodes.remove(node, alias);
      }
    );
    replies.done(request.unique);
  }

  async #rmdir(request: Request): Promise<void> {
    const { nodes, fileSystem, paths, replies } = this.#context;
    const { parent, name, pathOf } = this.#place(request, request.text(0));
    await paths.exclusive(
      () => [pathOf()],
      async ([path]) => {
        const attributes = await fileSystem.findAttributes(path!);
        await fileSystem.rmdir(path!);
        const node = nodes.findChild(parent, name);
        if (!node) return;
        nodes.remove(node);
        node.removed = attributes && { ...attributes, linkCount: 0 };
      }
    );
    replies.done(request.unique);
  }

  async #rename(request: Request, nameOffset: number, flags: number): Promise<void> {
    if (flags !== 0 && flags !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE)
      throw new FileSystemError('EINVAL', 'renames leave no whiteout');
    const { nodes, fileSystem, paths, replies } = this.#context;
    const [name, newName] = request.texts(nameOffset);
    const from = this.#place(request, name);
    const newParent = nodes.get(request.u64(REQUEST.fuse_rename_in.newdir));
    const rename = async ([path, to]: readonly string[]) => {
      const replaced = nodes.findChild(newParent, newName);
      const isExchange = flags === RENAME_EXCHANGE;
      const alias = isExchange ? undefined : this.#aliasOf(replaced);
      await fileSystem.rename(path!, to!, {
        noReplace: flags === RENAME_NOREPLACE,
        exchange: isExchange,
        ...(alias !== undefined && { alias })
      });
      const node = nodes.findChild(from.parent, name);
      if (isExchange && node && replaced) nodes.exchange(node, replaced);
      else if (node !== replaced || !node) {
        if (replaced) nodes.remove(replaced, alias, true);
        if (node) nodes.move(node, newParent, newName);
      }
    };
    await paths.exclusive(() => [from.pathOf(), nodes.pathIn(newParent, newName)], rename);
    replies.done(request.unique);
  }

  /** A new file belongs to who makes it; in a directory with the set-group-id bit to the directory's group. */
  async ownerIn(parent: Node, { uid, gid }: Request): Promise<OwnerOfNew> {
    const { nodes, fileSystem } = this.#context;
    const directory = await fileSystem.findAttributes(nodes.pathOf(parent));
    const isInherited = directory !== undefined && (directory.mode & S_ISGID) !== 0;
    return { uid, gid: isInherited ? directory.gid : gid, isInherited };
  }

  #place(request: Request, name: string): Place {
    const { nodes } = this.#context;
    const parent = nodes.get(request.nodeId);
    return { parent, name, pathOf: () => nodes.pathIn(parent, name) };
  }

  #aliasOf(node: Node | undefined): string | undefined {
    return node && this.#context.nodes.openCountOf(node) > 0 ? aliasFor(node) : undefined;
  }

  /** Makes what is new in a place and tells the kernel of it. */
  async #makeNew(
    request: Request,
    place: Place,
    make: (path: string, owner: OwnerOfNew) => Promise<void>
  ): Promise<void> {
    const { fileSystem, paths, memory } = this.#context;
    await paths.shared(place.pathOf, async (path) => {
      const mark = memory.mark(path);
      await make(path, await this.ownerIn(place.parent, request));
      const attributes = await fileSystem.getattr(path);
      this.#answerEntry(request.unique, place, attributes, memory.validityOf(path, mark));
    });
  }

  #answerEntry(unique: number, { parent, name }: Place, attributes: Attributes, validity: Validity): void {
    const { nodes, replies } = this.#context;
    const node = nodes.lookup(parent, name);
    if (!replies.entry(unique, { node, attributes, validity })) nodes.forget(node.id, 1);
  }
}

interface Place {
  readonly parent: Node;
  readonly name: string;
  readonly pathOf: () => string;
}

interface OwnerOfNew {
  readonly uid: number;
  readonly gid: number;
  readonly isInherited: boolean;
}
