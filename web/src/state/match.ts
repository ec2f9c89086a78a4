// Patterns of paths. Pure.

/** "/gateways/:id" against "/gateways/12" → {id: "12"}; null: another page. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split('/');
  const have = path.replace(/\/+$/, '').split('/');
  if (want.length !== have.length) return null;
  const found: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    const [a = '', b = ''] = [want[i], have[i]];
    if (!a.startsWith(':')) {
      if (a !== b) return null;
      continue;
    }
    try {
      found[a.slice(1)] = decodeURIComponent(b);
    } catch {
      return null;
    }
    if (b === '') return null;
  }
  return found;
}
