const CAUSE_DEPTH_MAX = 8;

/** A thrown value for the log: what it is and where it came from, and none of what it may carry besides. */
export function faultOf(thrown: unknown, depth = 0): object {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const { name, message, stack, cause } = thrown;
  const code = 'code' in thrown && typeof thrown.code === 'string' ? { code: thrown.code } : {};
  const inner = cause !== undefined && depth < CAUSE_DEPTH_MAX ? { cause: faultOf(cause, depth + 1) } : {};
  return { type: name, ...code, message, stack, ...inner };
}
