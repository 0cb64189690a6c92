import { asText, type CommandGroup, defineCommand, valueOr, values } from '../command.js';
import { formatTime } from '../describe-object.js';
import { parseOneOf } from '../option-values.js';
import { connectionOptions, jsonOption } from '../shared-options.js';
import { parseBucket } from '../store-path.js';

const ACCESS = ['read', 'write', 'admin'] as const;

const create = defineCommand({
  name: 'create',
  parameters: '',
  summary: 'create an access key; its secret is shown this once',
  options: {
    description: valueOr('--description <text>', 'what it is for', { parse: asText, otherwise: '' }),
    bucket: values('--bucket <name>', 'give it this bucket only; may be given more than once', parseBucket),
    access: valueOr<(typeof ACCESS)[number]>('--access <right>', `one of ${ACCESS.join(', ')}`, {
      parse: parseOneOf(ACCESS),
      otherwise: 'write'
    }),
    json: jsonOption('the key as JSON'),
    ...connectionOptions
  },
  example: 'create --bucket photos --access read',
  async run(context, _parameters, options) {
    const { output, signal } = context;
    const { description, bucket: buckets, access } = options;
    const store = await context.store(options);
    const created = await store.keys.create(
      { description, access, ...(buckets.length > 0 && { buckets: [...buckets] }) },
      { signal }
    );
    if (options.json) return output.json(created);
    await output.table([
      ['access key', created.accessKey],
      ['secret key', created.secretKey]
    ]);
  }
});

const ls = defineCommand({
  name: 'ls',
  parameters: '',
  summary: 'list the access keys',
  options: { json: jsonOption('one JSON object a line'), ...connectionOptions },
  example: 'ls',
  async run(context, _parameters, options) {
    const { output, signal } = context;
    const store = await context.store(options);
    const keys = await store.keys.list({ signal });
    if (options.json) {
      for (const key of keys) await output.json(key);
      return;
    }
    const rows = keys.map(({ accessKey, access, buckets, createdAtMs, description }) => [
      accessKey,
      access,
      buckets?.join(',') ?? 'every bucket',
      formatTime(createdAtMs),
      output.name(description)
    ]);
    await output.table(rows, { head: ['KEY', 'ACCESS', 'BUCKETS', 'CREATED', 'DESCRIPTION'] });
  }
});

const rm = defineCommand({
  name: 'rm',
  parameters: '<access-key>',
  summary: 'remove an access key; whoever uses it is refused from then on',
  options: connectionOptions,
  example: 'rm STAMPEDE0123456789AB',
  async run(context, [accessKey = ''], options) {
    const store = await context.store(options);
    await store.keys.delete({ accessKey }, { signal: context.signal });
  }
});

export const key: CommandGroup = {
  name: 'key',
  summary: 'create, list and remove access keys',
  commands: [create, ls, rm]
};
