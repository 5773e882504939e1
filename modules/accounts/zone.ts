import type { AccountEvent, AccountSnapshot, AccountStatus, SnapshotProgress } from '@millrace/contracts';
import { defineZone } from '@millrace/kernel';

/** After this time without progress, a pending snapshot may be requested again. */
const GIVEN_UP_MS = 60_000;
const FIRST_REQUEST = 'first';

export type AccountCommand =
  | { type: 'CreateAccount'; user: string; tenant: string; createdAt: number }
  | { type: 'RestoreAccount'; user: string; tenant: string; createdAt: number; snapshot: AccountSnapshot | null }
  | { type: 'RequestSnapshot'; request: string }
  | { type: 'NoteProgress'; progress: SnapshotProgress }
  | { type: 'RecordSnapshot'; request: string; snapshot: AccountSnapshot }
  | { type: 'FailSnapshot'; request: string; reason: string };

export interface AccountState {
  user: string;
  tenant: string;
  /** Epoch ms; 0 until the account is created. */
  createdAt: number;
  snapshot: AccountSnapshot | null;
  underWay: (SnapshotProgress & { readonly since: number }) | null;
}

const revisionOf = (snapshot: AccountSnapshot | null) => snapshot?.revision ?? 0;

/**
 * Whether a snapshot is newer than another one, which may be null: the one with the higher revision. After a restore of an older backup, two servers may
 * have given one revision to different snapshots; then the one generated later is newer.
 */
export function isNewer(snapshot: AccountSnapshot | null, other: AccountSnapshot | null): boolean {
  if (!snapshot || !other) return snapshot !== null && other === null;
  if (snapshot.revision !== other.revision) return snapshot.revision > other.revision;
  return snapshot.generatedAt > other.generatedAt;
}

export function isSameSnapshot(snapshot: AccountSnapshot | null, other: AccountSnapshot | null): boolean {
  return snapshot?.revision === other?.revision && snapshot?.generatedAt === other?.generatedAt && snapshot?.request === other?.request;
}

/** Whether a zone must adopt the record of its account: it differs from the record and is not newer. */
function isBehind(
  { createdAt, snapshot }: Readonly<AccountState>,
  record: { createdAt: number; snapshot: AccountSnapshot | null },
): boolean {
  return createdAt !== record.createdAt || !(isSameSnapshot(snapshot, record.snapshot) || isNewer(snapshot, record.snapshot));
}

/** Zone kind of a user’s account: its event stream and snapshots. Authentication is in the tables. */
export const accountZone = defineZone<AccountState, AccountCommand, AccountEvent>({
  kind: 'account',
  version: 2,
  create: (user) => ({ user, tenant: '', createdAt: 0, snapshot: null, underWay: null }),
  decide(state, command, { now, emit, refuse }) {
    switch (command.type) {
      case 'CreateAccount':
        if (state.createdAt !== 0) return;
        emit({ type: 'AccountCreated', user: command.user, tenant: command.tenant, at: command.createdAt });
        emit({ type: 'AccountSnapshotRequested', request: FIRST_REQUEST, at: now });
        return;
      case 'RestoreAccount': {
        const { user, tenant, createdAt } = command;
        if (!isBehind(state, command)) return;
        // The snapshot of the zone may have been recorded after the record was read.
        const snapshot = isNewer(state.snapshot, command.snapshot) ? state.snapshot : command.snapshot;
        emit({ type: 'AccountRestored', user, tenant, createdAt, snapshot });
        // The server that created it may never come back.
        if (!snapshot && !state.underWay) emit({ type: 'AccountSnapshotRequested', request: FIRST_REQUEST, at: now });
        return;
      }
      case 'RequestSnapshot':
        if (state.createdAt === 0) return refuse('ACCOUNT_NOT_FOUND', 'The account does not exist yet.');
        if (state.underWay && now - state.underWay.since < GIVEN_UP_MS)
          return refuse('IN_PROGRESS', `A snapshot is in progress: ${state.underWay.done} of ${state.underWay.of} steps are done.`);
        emit({ type: 'AccountSnapshotRequested', request: command.request, at: now });
        return;
      case 'NoteProgress':
        if (state.underWay?.request === command.progress.request && command.progress.done > state.underWay.done)
          emit({ type: 'AccountSnapshotProgressed', progress: command.progress });
        return;
      case 'RecordSnapshot':
        if (revisionOf(command.snapshot) > revisionOf(state.snapshot))
          emit({ type: 'AccountSnapshotGenerated', request: command.request, snapshot: command.snapshot });
        else if (state.underWay?.request === command.request)
          emit({ type: 'AccountSnapshotGenerated', request: command.request, snapshot: state.snapshot ?? command.snapshot });
        return;
      case 'FailSnapshot':
        if (state.underWay?.request === command.request)
          emit({ type: 'AccountSnapshotFailed', request: command.request, reason: command.reason });
        return;
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'AccountCreated':
        state.user = event.user;
        state.tenant = event.tenant;
        state.createdAt = event.at;
        return;
      case 'AccountRestored':
        state.user = event.user;
        state.tenant = event.tenant;
        state.createdAt = event.createdAt;
        state.snapshot = event.snapshot;
        return;
      case 'AccountSnapshotRequested':
        state.underWay = { request: event.request, step: '', done: 0, of: 1, since: event.at };
        return;
      case 'AccountSnapshotProgressed':
        if (state.underWay) state.underWay = { ...event.progress, since: state.underWay.since };
        return;
      case 'AccountSnapshotGenerated':
        state.snapshot = event.snapshot;
        if (state.underWay?.request === event.request) state.underWay = null;
        return;
      case 'AccountSnapshotFailed':
        state.underWay = null;
        return;
    }
  },
  // Snapshots of version 1 have no revision: they are older than all in the relational store.
  upcast: (event) => {
    const older = event as AccountEvent;
    if (older.type !== 'AccountSnapshotGenerated') return older;
    return { ...older, request: older.snapshot.request, snapshot: { ...older.snapshot, revision: 0 } };
  },
  upcastState: (state) => {
    const older = state as AccountState;
    return { ...older, snapshot: older.snapshot && { ...older.snapshot, revision: 0 } };
  },
});

export function accountStatus({ user, createdAt: created, snapshot, underWay }: Readonly<AccountState>): AccountStatus {
  const createdAt = created === 0 ? null : created;
  if (!underWay) return { user, createdAt, snapshot, underWay };
  const { request, step, done, of } = underWay;
  return { user, createdAt, snapshot, underWay: { request, step, done, of } };
}
