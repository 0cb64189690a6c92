import { z } from 'zod';

/*
 * The file of `stampede server --config`: which roles of a stamp a process has, and how it reaches the others. Secrets are in
 * files of their own, so that this one may be shown.
 */

const path = z.string().min(1);
const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):\d{1,5}$/, 'must be host:port, as 10.0.0.1:7071 or [::1]:7071');
const name = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, dots, hyphens and underscores');

/** Both sides of a connection between members show certificates of the same authority. */
const memberTls = z.strictObject({ 'ca-file': path, 'cert-file': path, 'key-file': path });

const etcd = z.strictObject({
  endpoints: z
    .array(z.string().regex(/^https?:\/\/[^\s/]+$/, 'must be URLs, as http://10.0.0.1:2379'))
    .min(1, 'must name one endpoint at least'),
  /** So that several stamps can share an etcd. */
  prefix: z.string().min(1).max(200).default('/stampede/'),
  username: z.string().min(1).optional(),
  'password-file': path.optional(),
  'ca-file': path.optional(),
  'cert-file': path.optional(),
  'key-file': path.optional()
});

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
    'front-end': z
      .strictObject({
        listen: address.default('127.0.0.1:7070'),
        'credentials-file': path,
        'cert-file': path.optional(),
        'key-file': path.optional()
      })
      .optional()
  })
  .refine((given) => Object.values(given).some((role) => role !== undefined), 'must name one role at least');

export const serverConfigSchema = z.strictObject({
  /** Of a process without an extent node, whose folder says who it is. */
  member: name.optional(),
  rack: name,
  replicas: z.int().min(1).max(5).default(3),
  etcd,
  cluster: z.strictObject({
    listen: address,
    'secret-file': path,
    tls: memberTls.optional()
  }),
  roles
});

export type ServerConfig = z.output<typeof serverConfigSchema>;
