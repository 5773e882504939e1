import { ENDPOINTS, type WorldHostStatus } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';

/** The zone hosts, as operators control them. */
export interface HostControl {
  statuses(): WorldHostStatus[];
  /** False when there is no such host. */
  drain(host: string): boolean;
  /** Lets a drained host accept zones again. False when there is no such host. */
  undrain(host: string): boolean;
  replace(host: string): boolean;
}

/** Routes of zone hosts. */
export function hostRoutes(routes: Routes, hosts: HostControl): void {
  routes.list(
    ENDPOINTS.listHosts,
    ({ id }) => id,
    () => hosts.statuses(),
  );
  routes.handle(ENDPOINTS.drainHost, ({ params: { host } }) => {
    requireHost(hosts, host);
    if (hosts.statuses().filter(({ id, state }) => id !== host && state === 'up').length === 0)
      throw new ApiProblem('CONFLICT', `${host} is the only host that accepts zones.`, 'Use replace: it starts another host first.');
    hosts.drain(host);
    return requireHost(hosts, host);
  });
  routes.handle(ENDPOINTS.undrainHost, ({ params: { host } }) => {
    requireHost(hosts, host);
    hosts.undrain(host);
    return requireHost(hosts, host);
  });
  routes.handle(ENDPOINTS.replaceHost, ({ params: { host } }) => {
    requireHost(hosts, host);
    if (!hosts.replace(host))
      throw new ApiProblem(
        'CONFLICT',
        `${host} cannot be replaced now.`,
        'It is starting, is already being replaced, or runs inside the server process.',
      );
    return requireHost(hosts, host);
  });
}

/**
 * The status of a host now.
 * @throws ApiProblem UNKNOWN_HOST
 */
function requireHost(hosts: HostControl, host: string): WorldHostStatus {
  const statuses = hosts.statuses();
  const status = statuses.find(({ id }) => id === host);
  if (status) return status;
  const known = statuses.map(({ id }) => id).join(', ');
  throw new ApiProblem('UNKNOWN_HOST', `Unknown zone host "${host}".`, `Zone hosts: ${known}.`);
}
