/** Groups of 16 bits in the network part of an IPv6 address. */
const NETWORK_GROUPS = 4;
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The key that limits per client address count by: an IPv4 address, or the first 64 bits of an IPv6 address, because one client has all addresses of such
 * a network (RFC 4291, section 2.5.1). An IPv4 address that is written as IPv6 counts as IPv4.
 * @param address as Node gives it; other text is returned as it is
 * @example clientNetwork('2001:db8:0:7::1') // '2001:db8:0:7::/64'
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [start = '', end = ''] = address.toLowerCase().split('::', 2);
  const groups = start === '' ? [] : start.split(':');
  const last = end === '' ? [] : end.split(':');
  // An embedded IPv4 address takes two groups. It is never in the network part.
  const missing = 8 - groups.length - last.length - (last.at(-1)?.includes('.') ? 1 : 0);
  if (address.includes('::')) groups.push(...Array<string>(Math.max(0, missing)).fill('0'), ...last);
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
