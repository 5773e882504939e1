import type { FastifyInstance } from 'fastify';

/** Listens for the routes that are added from now on, and tells which methods there are at an address; none where there is nothing. */
export function methodsOf(app: FastifyInstance): (url: string) => string[] {
  const addresses = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    // Behind a wildcard are files, and not at each of its addresses.
    if (url.includes('*')) return;
    const methods = addresses.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    addresses.set(url, methods);
  });
  return (url) => {
    const [path = ''] = url.split('?');
    const found = [...addresses].filter(([address]) => isAt(address, path)).flatMap(([, methods]) => [...methods]);
    return [...new Set(found)];
  };
}

/** Whether `/zones/0-0/events` is at `/zones/:zone/events`. */
function isAt(address: string, path: string): boolean {
  const [wanted, parts] = [address.split('/'), path.split('/')];
  return (
    wanted.length === parts.length && wanted.every((one, index) => one === parts[index] || (one.startsWith(':') && parts[index] !== ''))
  );
}
