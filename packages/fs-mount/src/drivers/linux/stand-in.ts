import { type Attributes, S_IFMT, S_IFREG } from '../../attributes.js';

/** Among the flags of an open that is to run the file. */
const FMODE_EXEC = 0o40;
const MAY_READ = 4;
const MAY_EXECUTE = 1;

/**
 * Whether a file may be opened in the place of the one it replaced. The kernel has checked kind and rights of that one, and
 * takes an inode whose kind changes for broken. Of the groups of who opens it says one only, so that others gain nothing.
 */
export function mayStandIn(
  { mode, uid, gid }: Attributes,
  asking: { readonly uid: number; readonly gid: number },
  flags: number
): boolean {
  if ((mode & S_IFMT) !== S_IFREG) return false;
  const right = (flags & FMODE_EXEC) === 0 ? MAY_READ : MAY_EXECUTE;
  const [ofOwner, ofGroup, ofOthers] = [right << 6, right << 3, right].map((bit) => (mode & bit) !== 0);
  if (asking.uid === 0) return right === MAY_READ || ofOwner! || ofGroup! || ofOthers!;
  if (asking.uid === uid) return ofOwner!;
  return ofGroup! && (asking.gid === gid || ofOthers!);
}
