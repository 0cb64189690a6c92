import { isIP } from 'node:net';
import { z } from 'zod';
import { parseSize } from '../size.js';
import { splitAddress } from './listen-address.js';

/*
 * The file of `stampede server --config`: which roles of a stamp a process has, and how it reaches the others. Secrets are in
 * files of their own, so that this one may be shown.
 */

const PORT_MAX = 65_535;
const MIB = 1024 * 1024;
const EXTENT_BYTES_MIN = MIB;
const EXTENT_BYTES_MAX = 1024 * MIB;

const ADDRESS = /^.+:\d{1,5}$/;

const path = z.string().min(1);
const ADDRESS_MESSAGE = 'must be host:port, as 10.0.0.1:7071 or [::1]:7071';
const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]\s/]+):\d{1,5}$/, ADDRESS_MESSAGE)
  .refine(
    (given) => !ADDRESS.test(given) || splitAddress(given).port <= PORT_MAX,
    `must have a port up to ${PORT_MAX}`
  );
const name = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, dots, hyphens and underscores, as rack-1');

/** Where the other members reach this one: they are told it as it is written. */
const memberAddress = address.refine(
  (given) => !ADDRESS.test(given) || !isEverywhere(splitAddress(given).host),
  'must be an address at which the other members reach this machine, not all of its addresses'
);

/** Both sides of a connection between members show certificates of the same authority. */
const memberTls = z.strictObject({ 'ca-file': path, 'cert-file': path, 'key-file': path });

const etcd = z
  .strictObject({
    endpoints: z
      .array(z.string().regex(/^https?:\/\/[^\s/]+$/, 'must be a URL, as http://10.0.0.1:2379'))
      .min(1, 'must name one endpoint at least')
      .refine((urls) => new Set(urls).size === urls.length, 'must name each endpoint once'),
    /** So that several stamps can share an etcd. */
    prefix: z.string().min(1).max(200).default('/stampede/'),
    username: z.string().min(1).optional(),
    'password-file': path.optional(),
    'ca-file': path.optional(),
    'cert-file': path.optional(),
    'key-file': path.optional()
  })
  .superRefine((given, context) => {
    requirePair(context, given, ['username', 'password-file']);
    requirePair(context, given, ['cert-file', 'key-file']);
  });

const frontEnd = z
  .strictObject({
    listen: address.default('127.0.0.1:7070'),
    'credentials-file': path,
    'cert-file': path.optional(),
    'key-file': path.optional()
  })
  .superRefine((given, context) => requirePair(context, given, ['cert-file', 'key-file']));

const roles = z
  .strictObject({
    'stream-manager': z.strictObject({}).nullable().optional(),
    'extent-node': z.strictObject({ directory: path }).optional(),
    'partition-server': z
      .strictObject({
        'index-directory': path,
        durability: z.enum(['sync', 'os']).default('sync')
      })
      .optional(),
    'front-end': frontEnd.optional()
  })
  .refine((given) => Object.values(given).some((role) => role !== undefined), 'must name one role at least');

/** The group alone is enough; without a host it is for this machine alone. */
const monitoring = z.preprocess(
  (given) => given ?? {},
  z.strictObject({
    listen: z.preprocess(withLoopback, address).default('127.0.0.1:7072')
  })
);

const extentSize = z.preprocess(
  sizeOf,
  z
    .number('must be a size, as 256MiB')
    .int()
    .min(EXTENT_BYTES_MIN, 'must be 1MiB at least')
    .max(EXTENT_BYTES_MAX, 'must be 1GiB at most')
);

export const serverConfigSchema = z
  .strictObject({
    /** Of a process without an extent node, whose folder says who it is. */
    member: name.optional(),
    rack: name,
    replicas: z.int().min(1).max(5).default(3),
    /** At which extents are sealed, in bytes; the same everywhere. */
    'extent-size': extentSize.optional(),
    etcd,
    cluster: z.strictObject({
      listen: memberAddress,
      'secret-file': path,
      tls: memberTls.optional()
    }),
    roles,
    monitoring: monitoring.optional()
  })
  .superRefine((given, context) => {
    requireOwnPorts(context, [
      [['cluster', 'listen'], given.cluster.listen],
      [['roles', 'front-end', 'listen'], given.roles['front-end']?.listen],
      [['monitoring', 'listen'], given.monitoring?.listen]
    ]);
    const extents = given.roles['extent-node']?.directory;
    if (extents !== undefined && extents === given.roles['partition-server']?.['index-directory'])
      complain(
        context,
        ['roles', 'partition-server', 'index-directory'],
        'must be another folder than that of the extent node'
      );
  });

export type ServerConfig = z.output<typeof serverConfigSchema>;

type Complaints = z.core.$RefinementCtx;

function isEverywhere(host: string): boolean {
  return isIP(host) > 0 && /^[0:.]+$/.test(host);
}

/** A port alone is one of the loopback. */
function withLoopback(given: unknown): unknown {
  const isPort = typeof given === 'number' || (typeof given === 'string' && /^:?\d+$/.test(given));
  return isPort ? `127.0.0.1:${String(given).replace(':', '')}` : given;
}

function sizeOf(given: unknown): unknown {
  if (typeof given !== 'string') return given;
  try {
    return parseSize(given);
  } catch {
    return given;
  }
}

/** Of two settings that mean nothing alone. */
function requirePair<Name extends string>(
  context: Complaints,
  given: { readonly [Key in Name]?: string | undefined },
  names: readonly [Name, Name]
): void {
  for (const [name, other] of [names, [names[1], names[0]] as const])
    if (given[name] !== undefined && given[other] === undefined)
      complain(context, [name], `needs ${other} beside it`);
}

function requireOwnPorts(
  context: Complaints,
  listeners: readonly (readonly [path: readonly string[], address: string | undefined])[]
): void {
  const known: { readonly host: string; readonly port: number; readonly name: string }[] = [];
  for (const [path, given] of listeners) {
    if (given === undefined) continue;
    const listener = { ...splitAddress(given), name: path.join('.') };
    const other = known.find(
      ({ host, port }) =>
        port === listener.port &&
        port !== 0 &&
        (host === listener.host || isEverywhere(host) || isEverywhere(listener.host))
    );
    if (other) complain(context, path, `has the port of ${other.name}; choose another one`);
    known.push(listener);
  }
}

function complain(context: Complaints, path: readonly string[], message: string): void {
  context.addIssue({ code: 'custom', path: [...path], message });
}
