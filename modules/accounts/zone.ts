import type { AccountEvent, AccountSnapshot, AccountStand, SnapshotProgress } from '@millrace/contracts';
import { defineZone } from '@millrace/kernel';

/** After so long without a step a snapshot that is under way may be asked for anew. */
const GIVEN_UP_MS = 60_000;

export type AccountCommand =
  | { type: 'CreateAccount'; user: string; tenant: string }
  | { type: 'RequestSnapshot'; request: string }
  | { type: 'NoteProgress'; progress: SnapshotProgress }
  | { type: 'RecordSnapshot'; snapshot: AccountSnapshot }
  | { type: 'FailSnapshot'; request: string; reason: string };

export interface AccountState {
  user: string;
  tenant: string;
  /** Epoch ms; 0 until it was created. */
  createdAt: number;
  snapshot: AccountSnapshot | null;
  underWay: (SnapshotProgress & { readonly since: number }) | null;
}

/** A user’s account, as far as its stream and its snapshots are concerned; who may come in is the tables’ business. */
export const accountZone = defineZone<AccountState, AccountCommand, AccountEvent>({
  kind: 'account',
  version: 1,
  create: (user) => ({ user, tenant: '', createdAt: 0, snapshot: null, underWay: null }),
  decide(state, command, { now, emit, refuse }) {
    switch (command.type) {
      case 'CreateAccount':
        if (state.createdAt !== 0) return;
        emit({ type: 'AccountCreated', user: command.user, tenant: command.tenant, at: now });
        emit({ type: 'AccountSnapshotRequested', request: 'first', at: now });
        return;
      case 'RequestSnapshot':
        if (state.createdAt === 0) return refuse('NO_ACCOUNT', 'The account is not there yet.');
        if (state.underWay && now - state.underWay.since < GIVEN_UP_MS)
          return refuse('UNDER_WAY', `A snapshot is under way: ${state.underWay.done} of ${state.underWay.of} steps are done.`);
        emit({ type: 'AccountSnapshotRequested', request: command.request, at: now });
        return;
      case 'NoteProgress':
        if (state.underWay?.request === command.progress.request && command.progress.done > state.underWay.done)
          emit({ type: 'AccountSnapshotProgressed', progress: command.progress });
        return;
      case 'RecordSnapshot':
        if (state.underWay?.request === command.snapshot.request) emit({ type: 'AccountSnapshotGenerated', snapshot: command.snapshot });
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
      case 'AccountSnapshotRequested':
        state.underWay = { request: event.request, step: '', done: 0, of: 1, since: event.at };
        return;
      case 'AccountSnapshotProgressed':
        if (state.underWay) state.underWay = { ...event.progress, since: state.underWay.since };
        return;
      case 'AccountSnapshotGenerated':
        state.snapshot = event.snapshot;
        state.underWay = null;
        return;
      case 'AccountSnapshotFailed':
        state.underWay = null;
        return;
    }
  },
});

export function accountStand({ user, createdAt, snapshot, underWay }: Readonly<AccountState>): AccountStand {
  if (!underWay) return { user, createdAt, snapshot, underWay };
  const { request, step, done, of } = underWay;
  return { user, createdAt, snapshot, underWay: { request, step, done, of } };
}
