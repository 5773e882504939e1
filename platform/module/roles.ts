/**
 * Role of a process. `api`: serves requests and streams. `zones`: owns zones. `projector`: runs projections.
 * `collector`: connects to sources. `jobs`: runs jobs that only one process of the installation may run.
 */
export type ProcessRole = 'api' | 'zones' | 'projector' | 'collector' | 'jobs';

/** Roles of the only server process of an installation. */
export const ALL_ROLES: ReadonlySet<ProcessRole> = new Set(['api', 'zones', 'projector', 'collector', 'jobs']);
