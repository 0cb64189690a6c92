import { join } from 'node:path';
import { z } from 'zod';
import { StoreError } from './api/index.js';
import { type Credentials, generateCredentials } from './frontend/index.js';
import type { Disk, Random } from './platform/index.js';

/*
 * The data folder of an embedded store:
 *
 *   stamp.json         format version, id, number of extent nodes; written once, rewritten when nodes are added
 *   credentials.json   access key and secret of the local store, and where it listens; mode 0600
 *   lock/              an empty ordered store: the process that has it open has the folder
 *   meta/              the meta store: tables of streams, extents, partitions, access keys
 *   nodes/<n>/         one extent node each: the data
 *   index/<partition>/ indexes of partitions: a cache of the data, may be deleted while the store is stopped
 */

const FORMAT_VERSION = 1;
const SECRET_MODE = 0o600;

export const lockDirectory = (directory: string): string => join(directory, 'lock');
export const metaDirectory = (directory: string): string => join(directory, 'meta');
export const nodeDirectory = (directory: string, number: number): string =>
  join(directory, 'nodes', String(number));
export const indexDirectory = (directory: string): string => join(directory, 'index');

const identitySchema = z.object({
  formatVersion: z.int(),
  stampId: z.string(),
  nodeCount: z.int().min(1)
});
export type StampIdentity = z.infer<typeof identitySchema>;

interface StampFiles {
  readonly disk: Disk;
  readonly random: Random;
  readonly directory: string;
}

/**
 * Reads what the folder is, or makes it a new store.
 *
 * @param nodeCount   How many extent nodes are wanted; absent = as many as there were.
 * @throws StoreError `InvalidArgument` when the folder is of another release or has more nodes than are wanted.
 */
export async function openIdentity(
  { disk, random, directory }: StampFiles,
  nodeCount: number | undefined
): Promise<StampIdentity> {
  const path = join(directory, 'stamp.json');
  const known = await readJson(disk, path, identitySchema);
  if (known && known.formatVersion !== FORMAT_VERSION)
    throw new StoreError(
      'InvalidArgument',
      `The data folder ${directory} has format ${known.formatVersion}, this release reads ${FORMAT_VERSION}. Use the release that wrote it.`
    );
  if (known && nodeCount !== undefined && nodeCount < known.nodeCount)
    throw new StoreError(
      'InvalidArgument',
      `The data folder ${directory} has ${known.nodeCount} extent nodes. Start it with as many, or more.`
    );
  const identity = {
    formatVersion: FORMAT_VERSION,
    stampId: known?.stampId ?? random.uuid(),
    nodeCount: nodeCount ?? known?.nodeCount ?? 1
  };
  if (!known || known.nodeCount !== identity.nodeCount) await disk.writeBytes(path, encodeJson(identity));
  return identity;
}

const credentialsSchema = z.object({ accessKey: z.string().min(1), secretKey: z.string().min(1) });

const credentialsPath = (directory: string): string => join(directory, 'credentials.json');

/** The local store's own access key; made anew when there is none. */
export async function openCredentials({ disk, random, directory }: StampFiles): Promise<Credentials> {
  return (await readJson(disk, credentialsPath(directory), credentialsSchema)) ?? generateCredentials(random);
}

/** For clients on this machine. */
export async function writeCredentials(
  { disk, directory }: StampFiles,
  { accessKey, secretKey, endpoint }: Credentials & { readonly endpoint?: string | undefined }
): Promise<void> {
  const content = { accessKey, secretKey, ...(endpoint !== undefined && { endpoint }) };
  await disk.writeBytes(credentialsPath(directory), encodeJson(content), SECRET_MODE);
}

async function readJson<Schema extends z.ZodType>(
  disk: Disk,
  path: string,
  schema: Schema
): Promise<z.output<Schema> | undefined> {
  const bytes = await disk.findBytes(path);
  if (!bytes) return undefined;
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // The cause is left out: it might show a secret.
    throw new StoreError('InvalidArgument', `${path} cannot be understood. Restore it from a copy.`);
  }
}

function encodeJson(content: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`);
}
