import type { BodyPieces } from './body-pieces.js';
import type { LockRequest } from './key-locks.js';
import type { MutationBody } from './mutation.js';
import type { RowView } from './row-view.js';
import type { UploadContents } from './upload-contents.js';

/** What `decide` is told. It runs in one turn with the taking of the sequence number. */
export interface Decision<Loaded> {
  readonly sequence: number;
  readonly atMs: number;
  readonly view: RowView;
  readonly loaded: Loaded;
  readonly body: BodyPieces;
}

export type Decided =
  | {
      readonly mutation: MutationBody;
      /** By how much the bucket grows; counted against its quota until it is applied. */
      readonly growth?: { readonly bucket: string; readonly bytes: number } | undefined;
      /** What was loaded of an upload, for applying. */
      readonly contents?: UploadContents;
    }
  /** There is nothing to do. */
  | { readonly answer: unknown };

export interface MutationRequest<Loaded = undefined> {
  readonly requestId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly locks: LockRequest;
  readonly body?: Uint8Array | undefined;
  /** Its bytes make room for more: they may use some of the reserve of a full store. */
  readonly isReclaiming?: boolean | undefined;
  /** Reads what `decide` needs and cannot look up in one turn. The locks are held. */
  readonly load?: (body: BodyPieces) => Promise<Loaded>;
  /** Judges the call on what all earlier mutations left. @throws StoreError to refuse it. */
  readonly decide: (decision: Decision<Loaded>) => Decided;
}
