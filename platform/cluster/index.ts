export { Coordinator, type HostStand } from './coordinator.ts';
export { type Link, openLink } from './link.ts';
export { Member } from './member.ts';
export type { Assignment, Beat, HostId } from './messages.ts';
