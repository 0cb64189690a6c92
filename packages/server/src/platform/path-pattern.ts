/**
 * Compiles a pattern of paths: `*` stands for any characters but `/`, `**` for any characters, `?` for one. A pattern
 * without `/` is matched against the last name of the path alone.
 */
export function pathPattern(pattern: string): (path: string) => boolean {
  const source = pattern.replace(/\*\*|[*?]|[^*?]+/g, (part) => {
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  });
  const expression = new RegExp(`^${source}$`, 's');
  if (pattern.includes('/')) return (path) => expression.test(path);
  return (path) => expression.test(path.slice(path.lastIndexOf('/') + 1));
}
