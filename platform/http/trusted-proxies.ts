import type { IncomingMessage } from 'node:http';
import proxyAddress from '@fastify/proxy-addr';

export type IsProxy = (address: string) => boolean;

/** Whether an address is a trusted proxy, whose X-Forwarded-For is used. @throws for text that is neither an address nor a network */
export function proxiesIn(addresses: readonly string[]): IsProxy {
  if (addresses.length === 0) return () => false;
  const trusts = proxyAddress.compile([...addresses]);
  return (address) => address !== '' && trusts(address, 0);
}

/** Client address of a request that does not pass the router, computed like `request.ip`. */
export function remoteOf(request: IncomingMessage, isProxy: IsProxy): string {
  return proxyAddress(request, isProxy);
}
