/** What a mount tells its owner; everything a program was not told, or was told and is worth a log line. */
export type MountEvent =
  /** Data could not be stored yet; it is kept and tried again. */
  | { readonly type: 'commitFailed'; readonly path: string; readonly error: unknown }
  /** Data is lost: the store refuses it and nobody holds the file open any more. */
  | { readonly type: 'dataLost'; readonly path: string; readonly bytes: number; readonly error: unknown }
  /** Locks were lost, and with them what was written to the file and not stored; programs that have it open get EIO. */
  | { readonly type: 'locksLost'; readonly path: string; readonly bytes: number }
  /** A removal that was answered already did not happen in the store; the file shows again. */
  | { readonly type: 'removalFailed'; readonly path: string; readonly error: unknown }
  /** `bucket`: where the drive shows several. */
  | { readonly type: 'watchLost'; readonly error: unknown; readonly bucket?: string }
  | { readonly type: 'watchLive'; readonly bucket?: string }
  /** A bucket was not made or deleted; the program has an errno, the reason is here. */
  | { readonly type: 'bucketRefused'; readonly bucket: string; readonly error: unknown }
  /** A better driver is not on this machine; the other one serves, slower and with known limits. */
  | { readonly type: 'driverMissing'; readonly driver: string; readonly why: string }
  /** A file of the disk cache is not what was written to it; it is fetched anew. */
  | { readonly type: 'cacheDamaged'; readonly file: string }
  /** The disk of the cache refused something; it is left alone for a while. */
  | { readonly type: 'cacheFailed'; readonly error: unknown }
  /** A bug: an operation failed with something that is no answer of the store. */
  | { readonly type: 'bug'; readonly operation: string; readonly error: unknown }
  | { readonly type: 'unmounted' };

export type OnMountEvent = (event: MountEvent) => void;
