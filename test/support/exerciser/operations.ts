import { constants } from 'node:fs';
import { seededRandom } from '@stampede/client/testing';

/** What a driver can do, so that a script asks nothing it is known not to do. */
export interface Abilities {
  /** RENAME_NOREPLACE and RENAME_EXCHANGE. */
  readonly renameFlags: boolean;
  readonly fallocate: boolean;
  /** Times to the nanosecond, before 1970, and one of the two alone; otherwise milliseconds and both the same. */
  readonly exactTimes: boolean;
  /** What was removed together with its directory is still there for who has it open. */
  readonly openInRemoved: boolean;
  /** New files get the group of a directory with the set-group-id bit. */
  readonly groupOfDirectory: boolean;
}

type Random = ReturnType<typeof seededRandom>;

interface Draw {
  readonly random: Random;
  readonly abilities: Abilities;
  below(limit: number): number;
  pick<Value>(values: readonly Value[]): Value;
  /** Of a file or directory that is probably there. */
  known(): string;
  /** Probably of a file that is there. */
  file(): string;
  /** Any that may be there. */
  path(): string;
  directory(): string;
  /** Probably of an open file. */
  slot(): number;
  /** Bytes: mostly few, sometimes some MiB. */
  size(): number;
  offset(): number;
}

interface Kind {
  readonly name: string;
  readonly weight: number;
  readonly fields: (draw: Draw) => readonly (string | number)[];
  readonly isPossible?: (abilities: Abilities) => boolean;
  /** Says what probably came of it, to have something to work on. */
  readonly note?: (tracks: Tracks, fields: readonly (string | number)[]) => void;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW } = constants;
const SLOT_COUNT = 6;
const DIRECTORY_SLOT_COUNT = 3;
const LONG = 'n'.repeat(200);
const DIRECTORIES = ['.', 'd', 'd', 'd/a', 'd/a/a', 'e', 'e/d', `e/${LONG}`];
const NAMES = ['f', 'f', 'g', 'h', 'a', 'a', 'a-b', 'a.b', 'd', 'e', 'é x', LONG];
const XATTRS = ['user.one', 'user.two', 'user.é'];
const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const FALLOC_ZERO_RANGE = 16;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** Nanoseconds that say: leave this time alone, or make it now. */
const TIME_OMITTED = -1;
const TIME_NOW = -2;
const KIB = 1024;

const OPEN_FLAGS = [
  O_RDONLY,
  O_RDWR,
  O_RDWR | O_CREAT,
  O_RDWR | O_CREAT,
  O_RDWR | O_CREAT | O_TRUNC,
  O_WRONLY | O_CREAT | O_TRUNC,
  O_RDWR | O_CREAT | O_EXCL,
  O_RDWR | O_CREAT | O_APPEND,
  O_WRONLY | O_APPEND,
  O_WRONLY | O_TRUNC,
  O_RDONLY | O_NOFOLLOW,
  O_RDONLY | O_TRUNC
];
const S_ISGID = 0o2000;
const MODES = [0o644, 0o600, 0o755, 0o400, 0o4755, 0o2711, 0o1777];

const KINDS: readonly Kind[] = [
  {
    name: 'open',
    weight: 14,
    fields: (d) => [d.below(SLOT_COUNT), d.pick([d.path, d.file, d.file])(), d.pick(OPEN_FLAGS), mode(d)],
    note: (tracks, [slot, path, flags]) => tracks.opened(Number(slot), String(path), Number(flags))
  },
  {
    name: 'close',
    weight: 5,
    fields: (d) => [d.slot()],
    note: (tracks, [slot]) => tracks.closed(Number(slot))
  },
  { name: 'dupclose', weight: 1, fields: (d) => [d.slot()] },
  { name: 'pread', weight: 8, fields: (d) => [d.slot(), d.offset(), d.size()] },
  { name: 'read', weight: 3, fields: (d) => [d.slot(), d.size()] },
  { name: 'pwrite', weight: 10, fields: (d) => [d.slot(), d.offset(), d.size(), d.below(200)] },
  { name: 'write', weight: 5, fields: (d) => [d.slot(), d.size(), d.below(200)] },
  { name: 'lseek', weight: 2, fields: (d) => [d.slot(), d.below(5000), d.below(3)] },
  { name: 'truncate', weight: 2, fields: (d) => [d.file(), d.offset()] },
  { name: 'ftruncate', weight: 3, fields: (d) => [d.slot(), d.offset()] },
  {
    name: 'fallocate',
    weight: 3,
    fields: (d) => [d.slot(), fallocateMode(d), d.offset(), 1 + d.size()],
    isPossible: ({ fallocate }) => fallocate
  },
  { name: 'fsync', weight: 2, fields: (d) => [d.slot()] },
  { name: 'fdatasync', weight: 1, fields: (d) => [d.slot()] },
  { name: 'fsyncdir', weight: 1, fields: (d) => [d.directory()] },
  { name: 'copy', weight: 4, fields: (d) => [d.slot(), d.offset(), d.slot(), d.offset(), d.size()] },
  {
    name: 'mmap',
    weight: 4,
    fields: (d) => [d.slot(), d.offset(), 1 + d.size(), d.below(3) ? d.below(200) : -1, 1]
  },
  { name: 'stat', weight: 4, fields: (d) => [d.known()] },
  { name: 'lstat', weight: 5, fields: (d) => [d.known()] },
  { name: 'fstat', weight: 5, fields: (d) => [d.slot()] },
  { name: 'utimens', weight: 3, fields: (d) => [d.known(), ...times(d)] },
  { name: 'futimens', weight: 2, fields: (d) => [d.slot(), ...times(d)] },
  { name: 'chmod', weight: 2, fields: (d) => [d.known(), mode(d)] },
  { name: 'fchmod', weight: 1, fields: (d) => [d.slot(), mode(d)] },
  { name: 'lchown', weight: 1, fields: (d) => [d.known(), d.below(3), d.below(3)] },
  { name: 'fchown', weight: 1, fields: (d) => [d.slot(), d.below(3), d.below(3)] },
  { name: 'access', weight: 1, fields: (d) => [d.known(), d.below(8)] },
  {
    name: 'rename',
    weight: 10,
    fields: (d) => [d.pick([d.known, d.file])(), d.pick([d.path, d.known, d.file])()],
    note: (tracks, [from, to]) => tracks.moved(String(from), String(to))
  },
  {
    name: 'renameat2',
    weight: 4,
    fields: (d) => [
      d.pick([d.known, d.file])(),
      d.pick([d.known, d.file])(),
      d.pick([RENAME_NOREPLACE, RENAME_EXCHANGE])
    ],
    isPossible: ({ renameFlags }) => renameFlags
  },
  { name: 'link', weight: 1, fields: (d) => [d.known(), d.path()] },
  {
    name: 'unlink',
    weight: 5,
    fields: (d) => [d.known()],
    note: (tracks, [path]) => tracks.removed(String(path))
  },
  { name: 'rmdir', weight: 3, fields: (d) => [d.directory()] },
  { name: 'rmdir', weight: 1, fields: (d) => [d.known()] },
  {
    name: 'mkdir',
    weight: 6,
    fields: (d) => [d.pick(DIRECTORIES), d.pick([0o755, 0o700, 0o777])],
    note: (tracks, [path]) => tracks.made(String(path), true)
  },
  {
    name: 'mkdir',
    weight: 2,
    fields: (d) => [d.path(), 0o755],
    note: (tracks, [path]) => tracks.made(String(path), true)
  },
  {
    name: 'mknod',
    weight: 1,
    fields: (d) => [d.path(), d.pick([0o100644, 0o140600])],
    note: (tracks, [path]) => tracks.made(String(path))
  },
  {
    name: 'symlink',
    weight: 2,
    fields: (d) => [d.pick(['f', 'a', '../f', 'd/a', 'none']), d.path()],
    note: (tracks, [, path]) => tracks.made(String(path))
  },
  { name: 'readlink', weight: 1, fields: (d) => [d.file()] },
  {
    name: 'purge',
    weight: 0.5,
    fields: (d) => [d.pick(DIRECTORIES.slice(1))],
    note: (tracks, [path]) => tracks.removed(String(path))
  },
  {
    name: 'setxattr',
    weight: 2,
    fields: (d) => [d.known(), d.pick(XATTRS), d.below(200), d.below(200), d.pick([0, 0, 1, 2])]
  },
  {
    name: 'fsetxattr',
    weight: 1,
    fields: (d) => [d.slot(), d.pick(XATTRS), d.below(200), d.below(200), d.pick([0, 0, 1, 2])]
  },
  {
    name: 'getxattr',
    weight: 1,
    fields: (d) => [d.file(), d.pick(XATTRS.slice(0, 2)), d.pick([0, 10, 4096])]
  },
  { name: 'fgetxattr', weight: 1, fields: (d) => [d.slot(), d.pick(XATTRS)] },
  { name: 'removexattr', weight: 1, fields: (d) => [d.known(), d.pick(XATTRS)] },
  { name: 'readdir', weight: 4, fields: (d) => [d.directory()] },
  { name: 'opendir', weight: 2, fields: (d) => [d.below(DIRECTORY_SLOT_COUNT), d.directory()] },
  { name: 'rewinddir', weight: 2, fields: (d) => [d.below(DIRECTORY_SLOT_COUNT)] },
  {
    name: 'openat',
    weight: 2,
    fields: (d) => [
      d.below(SLOT_COUNT),
      d.below(DIRECTORY_SLOT_COUNT),
      d.pick(NAMES),
      d.pick(OPEN_FLAGS),
      0o644
    ]
  },
  { name: 'tree', weight: 0.5, fields: () => ['.', 'times'] }
];

/** A script of `count` calls, one a line, that follows from the seed; the last one prints the whole tree. */
export function operationsOf(seed: number, count: number, abilities: Abilities): string[] {
  const tracks = new Tracks();
  const draw = drawFrom(seededRandom(seed), abilities, tracks);
  const kinds = KINDS.filter(({ isPossible }) => isPossible?.(abilities) ?? true);
  const weightSum = kinds.reduce((sum, { weight }) => sum + weight, 0);
  const lines = Array.from({ length: count }, () => {
    const kind = kindAt(kinds, draw.random.fraction() * weightSum);
    const fields = kind.fields(draw);
    kind.note?.(tracks, fields);
    return [kind.name, ...fields].join('\t');
  });
  return [...lines, 'tree\t.\ttimes'];
}

/** What there probably is: calls on it do more than fail. It is a guess, as nothing is known of answers. */
class Tracks {
  readonly paths: string[] = [];
  readonly directories = new Set<string>();
  readonly slots: number[] = [];

  get files(): readonly string[] {
    return this.paths.filter((path) => !this.directories.has(path));
  }

  made(path: string, isDirectory = false): void {
    const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : undefined;
    const isPossible = parent === undefined || this.directories.has(parent);
    if (!isPossible || this.paths.includes(path) || path === '.') return;
    this.paths.push(path);
    if (isDirectory) this.directories.add(path);
  }

  removed(path: string): void {
    const isBelow = (known: string) => known === path || known.startsWith(`${path}/`);
    for (const known of this.paths.filter(isBelow)) this.directories.delete(known);
    remove(this.paths, isBelow);
  }

  moved(from: string, to: string): void {
    if (from === to) return;
    const moving = this.paths.filter((known) => known === from || known.startsWith(`${from}/`));
    for (const path of moving) this.made(to + path.slice(from.length), this.directories.has(path));
    this.removed(from);
  }

  opened(slot: number, path: string, flags: number): void {
    if (flags & O_CREAT) this.made(path);
    if (this.paths.includes(path)) this.slots.push(slot);
  }

  closed(slot: number): void {
    remove(this.slots, (open) => open === slot);
  }
}

function remove<Value>(values: Value[], isWanted: (value: Value) => boolean): void {
  values.splice(0, values.length, ...values.filter((value) => !isWanted(value)));
}

function kindAt(kinds: readonly Kind[], position: number): Kind {
  let rest = position;
  for (const kind of kinds) {
    rest -= kind.weight;
    if (rest < 0) return kind;
  }
  return kinds[0]!;
}

function drawFrom(random: Random, abilities: Abilities, tracks: Tracks): Draw {
  const below = (limit: number) => random.integer(limit);
  const pick = <Value>(values: readonly Value[]) => values[below(values.length)]!;
  /** One of these, or now and then anything. */
  const mostly = <Value>(values: readonly Value[], any: () => Value) =>
    values.length > 0 && below(8) > 0 ? pick(values) : any();
  const anyPath = () => {
    const directory = pick(DIRECTORIES);
    return directory === '.' ? pick(NAMES) : `${directory}/${pick(NAMES)}`;
  };
  const scaled = () => {
    const scale = below(300);
    if (scale === 0) return below(9 * KIB * KIB);
    if (scale < 60) return below(300 * KIB);
    return scale < 180 ? below(10 * KIB) : below(100);
  };
  return {
    random,
    abilities,
    below,
    pick,
    file: () => mostly(tracks.files, anyPath),
    known: () => mostly(tracks.paths, anyPath),
    path: () => {
      const directories = DIRECTORIES.filter((path) => path === '.' || tracks.directories.has(path));
      const directory = mostly(directories, () => pick(DIRECTORIES));
      return directory === '.' ? pick(NAMES) : `${directory}/${pick(NAMES)}`;
    },
    directory: () => pick(DIRECTORIES),
    slot: () => mostly(tracks.slots, () => below(SLOT_COUNT)),
    size: scaled,
    offset: () => (below(3) === 0 ? 0 : scaled())
  };
}

function mode({ pick, abilities }: Draw): number {
  const mode = pick(MODES);
  return abilities.groupOfDirectory ? mode : mode & ~S_ISGID;
}

function fallocateMode({ pick }: Draw): number {
  return pick([
    0,
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE,
    FALLOC_ZERO_RANGE,
    FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE
  ]);
}

/** Seconds and nanoseconds of the times of reading and writing, long enough ago that they show. */
function times({ below, pick, abilities }: Draw): number[] {
  if (!abilities.exactTimes) {
    const time = [below(1_000_000_000), below(1000) * 1_000_000];
    return [...time, ...time];
  }
  const one = () => [
    below(2_000_000_000) - 1_000_000_000,
    pick([below(1e9), below(1e9), TIME_OMITTED, TIME_NOW])
  ];
  return [...one(), ...one()];
}
