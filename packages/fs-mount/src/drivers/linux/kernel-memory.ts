import type { ChangeListener } from '../../change-listener.js';
import { bytesOfName, isBytesName } from '../../path.js';
import { NO_TIME, type Validity } from './fuse-replies.js';
import type { Node, NodeTable } from './node-table.js';
import { NoticeLane, type SendMessages } from './notice-lane.js';
import type { Notice } from './notices.js';

/** While the watch is live the kernel is told of every change: this is for the watch that fails without a sign. */
const WATCHED: Validity = { seconds: 3600, nanoseconds: 0 };
const MARK_COUNT = 4096;
const NAME_BYTES_MAX = 255;
const ESCAPED = '/%=';

/**
 * Apart from each other, since the kernel may hold a notice until a request is answered: a name until the operations in
 * its directory are done, bytes until they are read. What an answer waits for must not wait for a request that may wait
 * for that answer: no answer waits for names, and an open waits for no bytes.
 */
interface Lanes {
  readonly names: NoticeLane;
  readonly bytes: NoticeLane;
  readonly prompt: NoticeLane;
}

export interface KernelMemoryOptions {
  readonly nodes: NodeTable;
  /** Whether changes of a path made elsewhere are told. */
  readonly isWatched: (path: string) => boolean;
  /** Names that are looked up each time. */
  readonly isGuarded: (path: string) => boolean;
  /** How long something may be believed otherwise. */
  readonly unwatched: Validity;
}

/**
 * What the kernel believes of names and files, and for how long. What is told while the watch is live holds until it is
 * taken back by a notice. An answer that a change overtook on its way is told for no time at all.
 */
export class KernelMemory implements ChangeListener {
  readonly #options: KernelMemoryOptions;
  /** How often something changed, by the path's hash. */
  readonly #changeCounts = new Uint32Array(MARK_COUNT);
  #allCount = 0;
  #lanes: Lanes | undefined;
  #hasEpochs = false;

  constructor(options: KernelMemoryOptions) {
    this.#options = options;
  }

  /** The kernel can be told from now on; one with epochs can also be told to forget all names in one notice. */
  start(lane: (index: number) => SendMessages, { hasEpochs }: { readonly hasEpochs: boolean }): void {
    const onOverflow = () => this.allChanged();
    this.#lanes = {
      names: new NoticeLane({ send: lane(0), onOverflow }),
      bytes: new NoticeLane({ send: lane(1), onOverflow }),
      prompt: new NoticeLane({ send: lane(2), onOverflow })
    };
    this.#hasEpochs = hasEpochs;
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#lanes ?? {}).map((lane: NoticeLane) => lane.close()));
  }

  /** Taken before the answer to a question about a path is looked for. */
  mark(path: string): number {
    return this.#allCount + this.#changeCounts[slotOf(path)]!;
  }

  /** How long the answer may be believed. */
  validityOf(path: string, mark: number): Validity {
    if (this.#options.isGuarded(path)) return NO_TIME;
    if (!this.#isTold(path)) return this.#options.unwatched;
    return mark === this.mark(path) ? WATCHED : NO_TIME;
  }

  /** As `validityOf`, for what is known at once of a name in a directory, if that has a path. */
  validityIn(directory: string | undefined, name: string): Validity {
    if (directory !== undefined && this.#options.isGuarded(`${directory === '/' ? '' : directory}/${name}`))
      return NO_TIME;
    const isTold = directory !== undefined && this.#isTold(`${directory}/${name}`);
    return isTold ? WATCHED : this.#options.unwatched;
  }

  /** As `validityOf`, for the answer that nothing is there. */
  absenceOf(path: string, mark: number): Validity {
    // Names that are not there are not counted here: only a kernel with epochs can be told to forget them all.
    return this.#hasEpochs || this.#options.isGuarded(path)
      ? this.validityOf(path, mark)
      : this.#options.unwatched;
  }

  /** Resolves when the kernel asks for the file's attributes again: before it is told that an open file is another one. */
  async forgetAttributes(node: Node): Promise<void> {
    await this.#lanes?.prompt.addAndWait({ type: 'attributes', id: node.id });
  }

  /** Resolves when the kernel has dropped its pages of the range; of length zero all from the offset on. */
  async forgetBytes({ id }: Node, offset: number, length: number): Promise<void> {
    await this.#lanes?.bytes.addAndWait({ type: 'bytes', id, offset, length });
  }

  /**
   * Resolves when the kernel has written what mappings changed from the offset on, which it does before it drops pages;
   * false where it cannot be told to.
   */
  async collectBytes(node: Node, offset: number): Promise<boolean> {
    if (!this.#lanes) return false;
    await this.forgetBytes(node, offset, 0);
    return true;
  }

  /** Whether the kernel is yet to be told that the file changed. */
  isBehind(node: Node): boolean {
    return this.#lanes?.names.isWaiting({ type: 'attributes', id: node.id }) ?? false;
  }

  changed(path: string, { isGone }: { readonly isGone: boolean }): void {
    this.#count(path);
    const names = path.slice(1).split('/');
    const { nodes } = this.#options;
    let node = nodes.root;
    for (const [index, name] of names.entries()) {
      const child = nodes.findChild(node, name);
      const isLast = index === names.length - 1;
      // With its last key a directory goes as well; with the first one it comes, also in place of a file.
      if (isLast || !child || isGone) this.#forgetEntry(node, name);
      if (!child) {
        if (!node.children) this.#forgetNode(node);
        return;
      }
      node = child;
    }
    this.#lanes?.names.add({ type: 'attributes', id: node.id });
  }

  treeChanged(path: string): void {
    this.#allCount++;
    if (this.#hasEpochs) this.#lanes?.names.add({ type: 'allEntries' });
    const names = path.slice(1).split('/');
    const last = names.pop()!;
    const { nodes } = this.#options;
    let node = nodes.root;
    for (const name of names) {
      const child = nodes.findChild(node, name);
      this.#forgetEntry(node, name);
      if (!child) return;
      node = child;
    }
    this.#forgetEntry(node, last);
    for (const [name, child] of node.children ?? [])
      if (name.startsWith(last)) this.#lanes?.names.sweep(this.#noticesBelow(child));
  }

  bytesChanged(path: string): void {
    this.#count(path);
    const node = this.#findNode(path);
    if (node) void this.#forgetAllBytes(node);
  }

  #findNode(path: string): Node | undefined {
    const { nodes } = this.#options;
    let node: Node | undefined = nodes.root;
    for (const name of path.slice(1).split('/')) node = node && nodes.findChild(node, name);
    return node;
  }

  async guarded(path: string): Promise<void> {
    this.treeChanged(path);
    if (this.#hasEpochs) await this.#lanes?.prompt.addAndWait({ type: 'allEntries' });
  }

  async refreshed(path: string): Promise<void> {
    this.#count(path);
    const node = this.#findNode(path);
    if (node) await this.#forgetAllBytes(node);
  }

  allChanged(): void {
    this.#allCount++;
    this.#lanes?.names.clear();
    if (this.#hasEpochs) this.#lanes?.names.add({ type: 'allEntries' });
    this.#lanes?.names.sweep(this.#noticesBelow(this.#options.nodes.root));
  }

  #isTold(path: string): boolean {
    return this.#lanes !== undefined && this.#options.isWatched(path) && isSpelt(path);
  }

  /** Counts a change for the path and for the directories above it. */
  #count(path: string): void {
    let above = path;
    for (; above !== ''; above = above.slice(0, above.lastIndexOf('/'))) this.#changeCounts[slotOf(above)]!++;
    this.#changeCounts[slotOf('/')]!++;
  }

  #forgetNode(node: Node): void {
    if (node.parent) this.#forgetEntry(node.parent, node.name);
    this.#lanes?.names.add({ type: 'attributes', id: node.id });
  }

  async #forgetAllBytes(node: Node): Promise<void> {
    const predecessors = [...(node.predecessors ?? [])].map((predecessor) =>
      this.#forgetAllBytes(predecessor)
    );
    await Promise.all([this.forgetBytes(node, 0, 0), ...predecessors]);
  }

  #forgetEntry(parent: Node, name: string): void {
    if (name === '' || bytesOfName(name).byteLength > NAME_BYTES_MAX) return;
    // For a single name the kernel waits until the directory's requests are answered, and a process that is killed
    // meanwhile does not end. All names it forgets at once, and asks for those it still needs.
    if (this.#hasEpochs) this.#lanes?.names.add({ type: 'allEntries' });
    else this.#lanes?.names.add({ type: 'entry', parentId: parent.id, name });
  }

  *#noticesBelow(top: Node): Generator<Notice> {
    const waiting = [top];
    for (let node = waiting.pop(); node; node = waiting.pop()) {
      if (!this.#hasEpochs && node.parent) yield { type: 'entry', parentId: node.parent.id, name: node.name };
      yield { type: 'attributes', id: node.id };
      for (const child of node.children?.values() ?? []) waiting.push(child);
    }
  }
}

/** Names that stand for keys no path can spell: nobody says when they change. */
function isSpelt(path: string): boolean {
  return (
    !path.includes(ESCAPED) || path.split('/').every((name) => !name.startsWith('%=') || isBytesName(name))
  );
}

function slotOf(path: string): number {
  let hash = 0;
  for (let index = 0; index < path.length; index++) hash = (Math.imul(hash, 31) + path.charCodeAt(index)) | 0;
  return (hash ^ (hash >>> 15)) & (MARK_COUNT - 1);
}
