import type { Attributes } from '../../attributes.js';
import { FileSystemError } from '../../errno.js';
import type { FileState } from '../../file-state.js';

export const ROOT_ID = 1;
/** Below 2⁵³ and above the root. */
const ID_LIMIT = 2 ** 52;

/** A file or directory that the kernel knows by number. Names change; the number stays as long as the kernel knows it. */
export interface Node {
  readonly id: number;
  /** The number that programs see. */
  readonly ino: number;
  name: string;
  /** Undefined for the root, and for what was removed while the kernel still knows it. */
  parent: Node | undefined;
  children: Map<string, Node> | undefined;
  /** How often the kernel was told of it and has not forgotten it. */
  lookupCount: number;
  /** Handles, and opens under way. */
  openCount: number;
  /** Handles through which a program may have mapped the file to write to it. */
  mappableCount: number;
  /** What a directory was when it was removed, for who has it open. */
  removed: Attributes | undefined;
  /** Known while nothing above was renamed. */
  path: string | undefined;
  /** The directory in which another file has its name now, which was never missing. */
  replacedIn: Node | undefined;
  /** It was replaced, and is open as what replaced it. */
  isLent: boolean;
  /** What the kernel's pages of the file are known to be. */
  cached: CachedPages | undefined;
  /** The name has another node by now, and this one speaks of the same file. */
  successor: Node | undefined;
  /** Nodes of which this one is the successor. */
  predecessors: Set<Node> | undefined;
}

/** While the file is closed: a version. While it is open: its state, as it was after so many foreign changes. */
export type CachedPages =
  | { readonly etag: string }
  | { readonly state: FileState; readonly foreignChangeCount: number };

/**
 * The kernel's numbers and the paths they stand for. A number is made of the names on the way to the file, so that it is
 * the same after the next mount and programs that remember it (git) find nothing changed; where another file has it, the
 * next free one is taken. Bounded by what the kernel remembers: it forgets under memory pressure.
 */
export class NodeTable {
  readonly #nodes = new Map<number, Node>();
  /** Numbers that programs see of nodes that have another one: no other file may have them. */
  readonly #shownIds = new Set<number>();
  readonly root: Node = newNode(ROOT_ID, '', undefined);

  constructor() {
    this.root.path = '/';
    this.root.lookupCount = 1;
    this.#nodes.set(ROOT_ID, this.root);
  }

  get count(): number {
    return this.#nodes.size;
  }

  find(id: number): Node | undefined {
    return this.#nodes.get(id);
  }

  /** Fails with `ESTALE` for a number the kernel was never given. */
  get(id: number): Node {
    const node = this.#nodes.get(id);
    if (!node) throw new FileSystemError('ESTALE', 'the file is not known any more');
    return node;
  }

  /** Fails with `ENOENT` for what was removed, and `ESTALE` for what was replaced: the kernel looks for the name again. */
  pathOf(node: Node): string {
    if (node.successor) return this.pathOf(node.successor);
    node.path ??= this.#pathOf(node);
    return node.path;
  }

  /** Where to open it, which may be after another file has got its name: then that one's path. */
  pathToOpen(node: Node): string {
    return this.isGivenAway(node) ? this.pathIn(node.replacedIn!, node.name) : this.pathOf(node);
  }

  /** Whether another file has its name, and nobody has it open. */
  isGivenAway({ path, parent, replacedIn }: Node): boolean {
    return path === undefined && !parent && replacedIn !== undefined;
  }

  /** Undefined for what was removed, or is in a directory that was. */
  findPath(node: Node): string | undefined {
    let top = this.latest(node);
    while (top.path === undefined && top.parent) top = top.parent;
    return top.path === undefined ? undefined : this.pathOf(node);
  }

  pathIn(parent: Node, name: string): string {
    const path = this.pathOf(parent);
    return path === '/' ? `/${name}` : `${path}/${name}`;
  }

  /** The number a name has or would get, for listings. */
  idOf(parent: Node, name: string): number {
    return parent.children?.get(name)?.ino ?? hashOf(parent.id, name);
  }

  findChild(parent: Node, name: string): Node | undefined {
    return parent.children?.get(name);
  }

  /** The node of a name; counts that the kernel is told of it. */
  lookup(parent: Node, name: string): Node {
    const known = parent.children?.get(name);
    if (known) {
      known.lookupCount++;
      return known;
    }
    const node = this.#add(newNode(this.#freeId(parent, name), name, parent), parent);
    node.lookupCount = 1;
    return node;
  }

  /** The node of a file that has no name; counts that the kernel is told of it. */
  addNameless(): Node {
    const node = newNode(this.#freeId(this.root, ''), '', undefined);
    node.path = aliasFor(node);
    node.lookupCount = 1;
    this.#nodes.set(node.id, node);
    return node;
  }

  /** The kernel has forgotten `count` of the times it was told. */
  forget(id: number, count: number): void {
    const node = this.#nodes.get(id);
    if (!node || node === this.root) return;
    node.lookupCount = Math.max(0, node.lookupCount - count);
    this.#dropUnused(node);
  }

  /**
   * The name is gone. The node stays until the kernel forgets it; `alias` is the path its open file is found under
   * meanwhile. `isReplaced` when another file has the name at once.
   */
  remove(node: Node, alias?: string, isReplaced = false): void {
    const { parent } = node;
    if (!parent) return;
    node.replacedIn = isReplaced ? parent : undefined;
    if (parent.children?.get(node.name) === node) parent.children.delete(node.name);
    node.parent = undefined;
    this.#forgetPaths(node);
    node.path = alias;
    this.#dropUnused(parent);
  }

  /** A file's name gets another number; who has the file open by the old one keeps that. */
  supersede(node: Node): void {
    const { parent, name, ino } = node;
    if (node.successor || parent?.children?.get(name) !== node) return;
    const successor = this.#add(newNode(this.#freeId(parent, name), name, parent, ino), parent);
    successor.predecessors = new Set([node]);
    node.successor = successor;
    node.parent = undefined;
  }

  /** The node that stands for the file's name, or did last. */
  latest(node: Node): Node {
    return node.successor ? this.latest(node.successor) : node;
  }

  /** Handles of the file, by whichever number they were opened. */
  openCountOf(node: Node): number {
    let count = node.openCount;
    if (node.predecessors) for (const one of node.predecessors) count += this.openCountOf(one);
    return count;
  }

  /** Numbers of the file by which a program may have mapped it to write to it. */
  mappableOf(node: Node): Node[] {
    const found: Node[] = [];
    const waiting = [this.latest(node)];
    for (let one = waiting.pop(); one; one = waiting.pop()) {
      if (one.mappableCount > 0) found.push(one);
      if (one.predecessors) waiting.push(...one.predecessors);
    }
    return found;
  }

  /** What is below moves along. Whatever has the new name must have been removed from it. */
  move(node: Node, parent: Node, name: string): void {
    const before = node.parent;
    if (before?.children?.get(node.name) === node) before.children.delete(node.name);
    node.parent = parent;
    node.name = name;
    childrenOf(parent).set(name, node);
    this.#forgetPaths(node);
    if (before) this.#dropUnused(before);
  }

  exchange(one: Node, other: Node): void {
    const [parent, name] = [one.parent, one.name];
    const [otherParent, otherName] = [other.parent, other.name];
    if (!parent || !otherParent) return;
    parent.children?.delete(name);
    otherParent.children?.delete(otherName);
    this.move(one, otherParent, otherName);
    this.move(other, parent, name);
  }

  /** Every node but the root. */
  *all(): Generator<Node> {
    for (const node of this.#nodes.values()) if (node !== this.root) yield node;
  }

  #pathOf(node: Node): string {
    const { parent, name } = node;
    if (!parent) throw new FileSystemError(node.replacedIn ? 'ESTALE' : 'ENOENT', `${name} was removed`);
    return this.pathIn(parent, name);
  }

  #forgetPaths(node: Node): void {
    node.path = undefined;
    if (node.children) for (const child of node.children.values()) this.#forgetPaths(child);
  }

  /** A node is needed for the paths of what is below it even when the kernel has forgotten it first. */
  #dropUnused(node: Node): void {
    let unused: Node | undefined = node;
    while (unused && unused !== this.root && isUnused(unused)) {
      this.#nodes.delete(unused.id);
      if (!unused.successor) this.#shownIds.delete(unused.ino);
      const parent: Node | undefined = unused.successor ?? unused.parent;
      parent?.predecessors?.delete(unused);
      if (parent?.children?.get(unused.name) === unused) parent.children.delete(unused.name);
      unused.parent = undefined;
      unused = parent;
    }
  }

  #add(node: Node, parent: Node): Node {
    this.#nodes.set(node.id, node);
    if (node.ino !== node.id) this.#shownIds.add(node.ino);
    childrenOf(parent).set(node.name, node);
    return node;
  }

  #freeId(parent: Node, name: string): number {
    let id = hashOf(parent.id, name);
    while (this.#nodes.has(id) || this.#shownIds.has(id)) id = id + 1 >= ID_LIMIT ? ROOT_ID + 1 : id + 1;
    return id;
  }
}

/** What an open file is called after its name is gone; no path of the kernel has a NUL in it. */
export function aliasFor({ id }: Node): string {
  return `/\0${id}`;
}

function childrenOf(parent: Node): Map<string, Node> {
  parent.children ??= new Map();
  return parent.children;
}

function isUnused({ lookupCount, children, predecessors }: Node): boolean {
  return lookupCount === 0 && !children?.size && !predecessors?.size;
}

function newNode(id: number, name: string, parent: Node | undefined, ino = id): Node {
  return {
    id,
    ino,
    name,
    parent,
    children: undefined,
    lookupCount: 0,
    openCount: 0,
    mappableCount: 0,
    removed: undefined,
    path: undefined,
    replacedIn: undefined,
    isLent: false,
    cached: undefined,
    successor: undefined,
    predecessors: undefined
  };
}

/** 52 bits that depend on every character and on the directory (two multiplicative hashes, as in cyrb53). */
function hashOf(parentId: number, name: string): number {
  let high = 0xdeadbeef ^ (parentId >>> 0);
  let low = 0x41c6ce57 ^ Math.floor(parentId / 2 ** 32);
  for (let index = 0; index < name.length; index++) {
    const unit = name.charCodeAt(index);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  const id = (low & 0xfffff) * 2 ** 32 + (high >>> 0);
  return id > ROOT_ID ? id : ROOT_ID + 1;
}
