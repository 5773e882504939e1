export { ClusterNode } from './cluster-node.ts';
export { Coordinator, type HostStatus } from './coordinator.ts';
export { type Link, openLink } from './link.ts';
export type { Assignment, Heartbeat, HostId } from './messages.ts';
