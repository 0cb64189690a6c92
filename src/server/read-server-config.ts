import { readFile } from 'node:fs/promises';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CommandError } from '../usage-error.js';
import { type ServerConfig, serverConfigSchema } from './server-config.js';

/**
 * Reads and checks the file.
 *
 * @throws CommandError that names the file, the line and what to write instead, one line for each thing that is wrong.
 */
export async function readServerConfig(path: string): Promise<ServerConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CommandError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  return parseServerConfig(text, path);
}

export function parseServerConfig(text: string, path: string): ServerConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [broken] = document.errors;
  if (broken) {
    const { line } = lines.linePos(broken.pos[0]);
    throw new CommandError(`${path}:${line}: ${broken.message.split('\n')[0]}`);
  }
  const parsed = serverConfigSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  const messages = parsed.error.issues.map((issue) => {
    const node = nearestNode(document, issue.path);
    const { line } = lines.linePos(node ?? 0);
    return `${path}:${Math.max(1, line)}: ${describe(issue)}`;
  });
  throw new CommandError(messages.join('\n'));
}

/** Where the value is, or the nearest one around it that is there. */
function nearestNode(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[]
): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    const start = (node as { readonly range?: readonly number[] } | undefined)?.range?.[0];
    if (start !== undefined) return start;
  }
  return undefined;
}

function describe(issue: z.core.$ZodIssue): string {
  const name = issue.path.join('.') || 'the file';
  if (issue.code === 'unrecognized_keys') {
    const where = issue.path.length > 0 ? ` in ${name}` : '';
    return `there is no setting ${issue.keys.join(', ')}${where}; remove it or correct its name`;
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined/.test(issue.message))
    return `${name} is missing; it must be ${article(issue.expected)}`;
  if (issue.code === 'invalid_type') return `${name} must be ${article(issue.expected)}`;
  if (issue.code === 'invalid_value') return `${name} must be ${issue.values.join(' or ')}`;
  if (issue.code === 'too_small') return `${name} must be at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `${name} must be at most ${issue.maximum}`;
  return `${name} ${issue.message}`;
}

function article(type: string): string {
  if (type === 'object') return 'a group of settings';
  return `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type}`;
}
