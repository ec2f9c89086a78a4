// Networks of the tunnel ports: parsing, overlap, a place that is free, and the picture of a /16.

export interface Network {
  address: number; // unsigned, 32 bits
  prefix: number;
}

export function parseNetwork(text: string): Network | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text.trim());
  if (!match) return null;
  const parts = match.slice(1, 5).map(Number);
  const prefix = Number(match[5]);
  if (parts.some((part) => part > 255) || prefix > 32) return null;
  const address = parts.reduce((sum, part) => sum * 256 + part, 0);
  return { address, prefix };
}

const size = (prefix: number) => 2 ** (32 - prefix);

export function networkText({ address, prefix }: Network): string {
  return `${[24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')}/${prefix}`;
}

/** Why it is no pool; null: it is one. The rules are amm-tunneld's. */
export function poolFault(text: string): string | null {
  const network = parseNetwork(text);
  if (!network) return `“${text}” is no network. For example: 10.36.0.0/19.`;
  if (network.prefix < 16 || network.prefix > 29) return 'Allowed: /16 to /29. A /19 has 2 047 places.';
  if (network.address % size(network.prefix) !== 0) {
    const even = { address: network.address - (network.address % size(network.prefix)), prefix: network.prefix };
    return `Bits behind the /${network.prefix} are set. Is ${networkText(even)} meant?`;
  }
  return null;
}

export function overlap(a: Network, b: Network): boolean {
  const shorter = Math.min(a.prefix, b.prefix);
  return Math.floor(a.address / size(shorter)) === Math.floor(b.address / size(shorter));
}

/** Four addresses a gateway (net30), the first block is the server's; or one each (subnet). */
export function slots(network: Network, topology: string): number {
  return topology === 'subnet' ? size(network.prefix) - 3 : size(network.prefix) / 4 - 1;
}

/** The next network of that size in 10.0.0.0/8 that overlaps none of the others, upwards from `near`. */
export function nextFree(near: Network, taken: Network[]): Network | null {
  const step = size(near.prefix);
  const ten = 10 * 2 ** 24;
  const count = 2 ** 24 / step;
  const first = Math.floor((near.address - ten) / step);
  const start = first >= 0 && first < count ? first : 0;
  for (let i = 0; i < Math.min(count, 8192); i++) {
    const candidate = { address: ten + ((start + i) % count) * step, prefix: near.prefix };
    if (!taken.some((one) => overlap(one, candidate))) return candidate;
  }
  return null;
}

export interface Block {
  text: string; // ".32.0/19"
  kind: 'free' | 'pool' | 'now' | 'wanted' | 'clash';
  port: number | null;
}
export interface Strip {
  title: string; // "10.4.0.0/16"
  blocks: Block[];
}

/** The /16s in which there are pools, each as eight /19. What is smaller fills its block. */
export function strips(pools: { port: number; pool: string }[], change: { port: number; wanted: string; clash: boolean } | null): Strip[] {
  const known = pools.map((one) => ({ port: one.port, network: parseNetwork(one.pool) }));
  const wanted = change ? parseNetwork(change.wanted) : null;
  const tops = new Set<number>();
  for (const network of [...known.map((one) => one.network), wanted]) {
    if (network) tops.add(Math.floor(network.address / 65536));
  }
  return [...tops].sort((a, b) => a - b).map((top) => ({
    title: networkText({ address: top * 65536, prefix: 16 }),
    blocks: Array.from({ length: 8 }, (_, i) => {
      const block = { address: top * 65536 + i * 8192, prefix: 19 };
      const text = `.${Math.floor(block.address / 256) % 256}.0/19`;
      if (wanted && overlap(wanted, block)) {
        return { text, kind: change?.clash ? 'clash' as const : 'wanted' as const, port: change?.port ?? null };
      }
      const owner = known.find((one) => one.network && overlap(one.network, block));
      if (!owner) return { text, kind: 'free' as const, port: null };
      return { text, kind: owner.port === change?.port ? 'now' as const : 'pool' as const, port: owner.port };
    }),
  }));
}
