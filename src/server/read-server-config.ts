import { readFile } from 'node:fs/promises';
import { isMap, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CommandError } from '../usage-error.js';
import { type ServerConfig, serverConfigSchema } from './server-config.js';

/** A configuration that is well-formed; the files that it names are not opened yet. */
export interface ReadServerConfig {
  readonly config: ServerConfig;
  /** Of the file. */
  readonly path: string;
  /** An error about a setting that names its line. */
  readonly complain: (setting: readonly string[], message: string) => CommandError;
}

/**
 * Reads and checks the file.
 *
 * @throws CommandError that names the file, the line and what to write instead, one line for each thing that is wrong.
 */
export async function readServerConfig(path: string): Promise<ReadServerConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CommandError(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); name a file that is there`
    );
  }
  return parseServerConfig(text, path);
}

export function parseServerConfig(text: string, path: string): ReadServerConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const at = (offset: number | undefined): string => {
    const { line } = lines.linePos(offset ?? 0);
    return `${path}:${Math.max(1, line)}`;
  };
  const [broken] = document.errors;
  if (broken) throw new CommandError(`${at(broken.pos[0])}: ${broken.message.split('\n')[0]}`);
  const parsed = serverConfigSchema.safeParse(toValue(document, at) ?? {});
  if (parsed.success) {
    return {
      config: parsed.data,
      path,
      complain: (setting, message) =>
        new CommandError(`${at(offsetOf(document, setting))}: ${setting.join('.')} ${message}`)
    };
  }
  const messages = parsed.error.issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys')
      return `${at(offsetOf(document, issue.path))}: ${describe(issue)}`;
    const where = issue.path.length > 0 ? ` in ${issue.path.join('.')}` : '';
    return issue.keys.map(
      (key) =>
        `${at(keyOffsetOf(document, issue.path, key))}: there is no setting ${key}${where}; remove it or correct its name`
    );
  });
  throw new CommandError(messages.join('\n'));
}

/** Aliases may be wrong, or grow without end. */
function toValue(document: ReturnType<typeof parseDocument>, at: (offset: number) => string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new CommandError(`${at(0)}: ${(error as Error).message}; write it without aliases`);
  }
}

/** Where the value is, or the nearest one around it that is there. */
function offsetOf(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[]
): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const start = (node as { readonly range?: readonly number[] } | undefined)?.range?.[0];
    if (start !== undefined) return start;
  }
  return undefined;
}

function keyOffsetOf(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[],
  key: string
): number | undefined {
  const map: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  const pair = isMap(map)
    ? map.items.find(({ key: each }) => String((each as { readonly value?: unknown }).value) === key)
    : undefined;
  return (
    (pair?.key as { readonly range?: readonly number[] } | undefined)?.range?.[0] ?? offsetOf(document, path)
  );
}

function describe(issue: z.core.$ZodIssue): string {
  const name = issue.path.join('.') || 'the file';
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined/.test(issue.message))
    return `${name} is missing; it must be ${article(issue.expected)}`;
  if (issue.code === 'invalid_type')
    return /^must /.test(issue.message)
      ? `${name} ${issue.message}`
      : `${name} must be ${article(issue.expected)}`;
  if (issue.code === 'invalid_value') return `${name} must be ${issue.values.join(' or ')}`;
  if (/^(must|needs|has) /.test(issue.message)) return `${name} ${issue.message}`;
  if (issue.code === 'too_small')
    return issue.origin === 'string'
      ? `${name} must not be empty`
      : `${name} must be at least ${issue.minimum}`;
  if (issue.code === 'too_big')
    return issue.origin === 'string'
      ? `${name} must have at most ${issue.maximum} characters`
      : `${name} must be at most ${issue.maximum}`;
  return `${name} ${issue.message}`;
}

function article(type: string): string {
  if (type === 'object') return 'a group of settings';
  if (type === 'array') return 'a list';
  if (type === 'int') return 'a whole number';
  return `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type}`;
}
