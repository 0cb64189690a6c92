import { S_IFDIR } from '../../attributes.js';
import type { NamedEntry } from '../../entries.js';
import { bytesOfName } from '../../path.js';
import { DirectoryHandle } from './directory-handle.js';
import { OPCODE } from './fuse-constants.js';
import { directoryEntryBytes, NO_TIME, REPLY } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import { type Node, ROOT_ID } from './node-table.js';
import { BODY, HEAD_BYTES } from './replies.js';
import type { Handlers, SessionContext } from './session-context.js';

/** `.` and `..`, which are numbered before the names. */
const DOT_NAMES = ['.', '..'].map((name) => Buffer.from(name));

/** What a program asks of a directory. */
interface Reading {
  readonly unique: number;
  readonly node: Node;
  readonly directory: DirectoryHandle;
  readonly offset: number;
  readonly room: number;
  readonly withAttributes: boolean;
}

/** A page of a listing while it is written. */
interface Page {
  at: number;
  readonly end: number;
  readonly withAttributes: boolean;
  /** Names the kernel learns of with this page: taken back when it does not get it. */
  readonly told: Node[];
}

/** Reading directories: names alone, or with all that a lookup would tell. */
export class DirectoryOperations {
  readonly #context: SessionContext;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_OPENDIR]: (request) => this.#open(request),
      [OPCODE.FUSE_READDIR]: (request) => this.#read(request, false),
      [OPCODE.FUSE_READDIRPLUS]: (request) => this.#read(request, true),
      [OPCODE.FUSE_RELEASEDIR]: (request) => this.#release(request),
      [OPCODE.FUSE_FSYNCDIR]: (request) => this.#fsync(request)
    };
  }

  #open(request: Request): void {
    const { nodes, fileSystem, handles, replies } = this.#context;
    const node = nodes.get(request.nodeId);
    const fh = handles.addDirectory(new DirectoryHandle(fileSystem, () => nodes.pathOf(node)));
    if (!replies.opened(request.unique, { fh, flags: 0 })) handles.removeDirectory(fh);
  }

  #read(request: Request, withAttributes: boolean): Promise<void> {
    const { nodes, handles, paths } = this.#context;
    const layout = REQUEST.fuse_read_in;
    const node = nodes.get(request.nodeId);
    const reading = {
      unique: request.unique,
      node,
      directory: handles.directory(request.u64(layout.fh)),
      offset: request.u64(layout.offset),
      room: Math.min(request.u32(layout.size), HEAD_BYTES - BODY),
      withAttributes
    };
    // The directory keeps its path meanwhile: by that its names lead to what is told of them.
    return paths.shared(
      () => nodes.pathOf(node),
      () => this.#answerPage(reading)
    );
  }

  async #answerPage({ unique, node, directory, offset, room, withAttributes }: Reading): Promise<void> {
    const { nodes, replies } = this.#context;
    // rewinddir(3) shows what is there by now.
    if (offset === 0) await directory.rewind();
    const first = Math.max(0, offset - DOT_NAMES.length);
    let names = await directory.from(first);
    // A page without a name would end the listing: names that are all gone make way for the next.
    while (names.length > 0 && names.every((entry) => entry.attributes() === 'gone'))
      names = await directory.from(directory.position + names.length);
    const page: Page = { at: BODY, end: BODY + room, withAttributes, told: [] };
    let position = offset;
    while (position < DOT_NAMES.length && this.#addDot(page, node, position)) position++;
    if (position >= DOT_NAMES.length)
      this.#addNames(page, node, { names, first: directory.position + DOT_NAMES.length });
    if (replies.send(unique, page.at - BODY)) return;
    for (const told of page.told) nodes.forget(told.id, 1);
  }

  async #release(request: Request): Promise<void> {
    await this.#context.handles.removeDirectory(request.u64(REQUEST.fuse_release_in.fh)).close();
    this.#context.replies.done(request.unique);
  }

  async #fsync(request: Request): Promise<void> {
    const { nodes, fileSystem, replies } = this.#context;
    await fileSystem.fsyncDirectory(nodes.pathOf(nodes.get(request.nodeId)));
    replies.done(request.unique);
  }

  #addDot(page: Page, node: Node, position: number): boolean {
    const name = DOT_NAMES[position]!;
    if (!this.#fits(page, name)) return false;
    const ino = position === 0 ? node.id : (node.parent?.id ?? ROOT_ID);
    this.#addNothingKnown(page);
    page.at = this.#context.replies.writer.directoryEntry(page.at, {
      ino,
      offset: position + 1,
      name,
      type: S_IFDIR
    });
    return true;
  }

  #addNames(
    page: Page,
    parent: Node,
    { names, first }: { readonly names: readonly NamedEntry[]; readonly first: number }
  ): void {
    const { nodes, memory } = this.#context;
    const directory = nodes.findPath(parent);
    let position = first;
    for (const entry of names) {
      const name = bytesOfName(entry.name);
      if (!this.#fits(page, name)) return;
      position++;
      // What is known now, not when the page was fetched: the kernel takes sizes and names from here for truth.
      const known = entry.attributes();
      if (known === 'gone') continue;
      let ino: number;
      if (page.withAttributes && known) {
        const node = nodes.lookup(parent, entry.name);
        page.told.push(node);
        ino = node.ino;
        const validity = memory.validityIn(directory, entry.name);
        this.#context.replies.writer.entry(page.at, { nodeId: node.id, ino, attributes: known, validity });
        page.at += REPLY.fuse_entry_out.bytes;
      } else {
        ino = nodes.idOf(parent, entry.name);
        this.#addNothingKnown(page);
      }
      page.at = this.#context.replies.writer.directoryEntry(page.at, {
        ino,
        offset: position,
        name,
        type: entry.type
      });
    }
  }

  #addNothingKnown(page: Page): void {
    if (!page.withAttributes) return;
    this.#context.replies.writer.noEntry(page.at, NO_TIME);
    page.at += REPLY.fuse_entry_out.bytes;
  }

  #fits(page: Page, name: Uint8Array): boolean {
    const entryBytes = page.withAttributes ? REPLY.fuse_entry_out.bytes : 0;
    return page.at + entryBytes + directoryEntryBytes(name) <= page.end;
  }
}
