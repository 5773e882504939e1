import type { FastifyInstance } from 'fastify';

/** Records the routes that are added from now on. @returns a function that lists the methods of a URL; none when no route matches */
export function methodsOf(app: FastifyInstance): (url: string) => string[] {
  const methodsByRoute = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    // Wildcard routes serve files; not every matching URL exists.
    if (url.includes('*')) return;
    const methods = methodsByRoute.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    methodsByRoute.set(url, methods);
  });
  return (url) => {
    const [path = ''] = url.split('?');
    const found = [...methodsByRoute].filter(([route]) => matches(route, path)).flatMap(([, methods]) => [...methods]);
    return [...new Set(found)];
  };
}

/** Whether a path matches a route: `/zones/0-0/events` matches `/zones/:zone/events`. */
function matches(route: string, path: string): boolean {
  const [wanted, parts] = [route.split('/'), path.split('/')];
  return (
    wanted.length === parts.length && wanted.every((one, index) => one === parts[index] || (one.startsWith(':') && parts[index] !== ''))
  );
}
