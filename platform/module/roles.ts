/**
 * What a process does. `api`: answers requests and streams. `zones`: owns zones. `projector`: runs projections.
 * `collector`: connects to sources. `jobs`: runs what one process of the installation does at intervals.
 */
export type ProcessRole = 'api' | 'zones' | 'projector' | 'collector' | 'jobs';

/** Roles of the only server process of an installation. */
export const ALL_ROLES: ReadonlySet<ProcessRole> = new Set(['api', 'zones', 'projector', 'collector', 'jobs']);
