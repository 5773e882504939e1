import type { IncomingMessage } from 'node:http';
import proxyAddress from '@fastify/proxy-addr';

export type IsProxy = (address: string) => boolean;

/** Whether what comes from an address may say where it really comes from. Throws for what is no address and no network. */
export function proxiesIn(addresses: readonly string[]): IsProxy {
  if (addresses.length === 0) return () => false;
  const trusts = proxyAddress.compile([...addresses]);
  return (address) => address !== '' && trusts(address, 0);
}

/** Where a request comes from that takes no way through the router, as `request.ip` says it of those that do. */
export function remoteOf(request: IncomingMessage, isProxy: IsProxy): string {
  return proxyAddress(request, isProxy);
}
