export type Access = 'read' | 'write' | 'admin';

/** Who calls: an access key and what it may do. */
export interface Principal {
  readonly accessKey: string;
  /** The tenant that the key belongs to. */
  readonly account: string;
  readonly access: Access;
  /** The only buckets that the key may touch; absent = every bucket. */
  readonly buckets?: ReadonlySet<string> | undefined;
}
