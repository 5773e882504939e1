import type { Endpoint, ModuleContract } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { ModuleParts } from './module.ts';

/** Wraps `routes` to record the endpoints that get a handler. */
export function recordEndpoints(routes: Routes): { readonly routes: Routes; readonly served: ReadonlySet<Endpoint> } {
  const served = new Set<Endpoint>();
  const recorded: Routes = {
    handle: (endpoint, handler) => {
      served.add(endpoint);
      routes.handle(endpoint, handler);
    },
    list: (endpoint, keyOf, handler) => {
      served.add(endpoint);
      routes.list(endpoint, keyOf, handler);
    },
    stream: (endpoint, handler) => {
      served.add(endpoint);
      routes.stream(endpoint, handler);
    },
  };
  return { routes: recorded, served };
}

/** @throws TypeError when an endpoint of the contract has no handler, or a handler is for an endpoint that is not in the contract */
export function requireServed({ name, endpoints }: ModuleContract, served: ReadonlySet<Endpoint>): void {
  const declared = new Map(Object.entries(endpoints).map(([id, endpoint]) => [endpoint, id]));
  const missing = [...declared].filter(([endpoint]) => !served.has(endpoint)).map(([, id]) => id);
  if (missing.length > 0)
    throw new TypeError(`Module "${name}" has no handler for ${missing.join(', ')}. Add one in "routes", or remove it from the contract.`);
  const foreign = [...served].filter((endpoint) => !declared.has(endpoint)).map(({ method, path }) => `${method} ${path}`);
  if (foreign.length > 0)
    throw new TypeError(`Module "${name}" handles ${foreign.join(', ')}, which its contract does not have. Add them to the contract.`);
}

/** @throws TypeError when a GET endpoint reads from zones or a consumer group, and the module has none */
export function requireReadSources({ name, reads, endpoints, topics = {} }: ModuleContract, parts: ModuleParts): void {
  const groups = Object.keys({ ...parts.projections, ...parts.reactors }).length + (parts.consumers?.length ?? 0);
  const has = { owner: Object.keys(topics).length > 0, projection: groups > 0, database: true, process: true };
  for (const [id, { method, read = reads }] of Object.entries<Endpoint>(endpoints))
    if (method === 'GET' && !has[read])
      throw new TypeError(
        `Endpoint "${id}" of module "${name}" reads from "${read}", which the module does not have. Set "read" of the endpoint in the contract.`,
      );
}
