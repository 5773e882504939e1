import { type AccountEvent, type AccountSnapshot, type InstrumentId, TIERS } from '@millrace/contracts';
import { type Database, offsetsOf, saveOffsets } from '@millrace/database';
import { keyOf, kindOf, type ZoneHost } from '@millrace/kernel';
import { type EventReactor, type Projection, type Reaction, reactorProjection } from '@millrace/log';
import type { Zones } from '@millrace/topics';
import type { AccountRecords } from './account-records.ts';
import type { UserStore } from './user-store.ts';
import { type AccountCommand, type AccountState, accountZone } from './zone.ts';

/** Name of the consumer group. Servers that share a database have their own logs, so each has its own group. */
const GROUP = 'account-snapshots';
/** Length of the watchlist of a new user. */
const WATCHLIST_SIZE = 8;
const STEPS = ['profile', 'limits', 'watchlist'] as const;

export interface SnapshotParts {
  readonly database: Database;
  /** Name of the server whose log is read, if several share a database; otherwise null. */
  readonly server: string | null;
  readonly host: ZoneHost;
  readonly zones: Zones<AccountState, AccountCommand>;
  readonly userStore: UserStore;
  readonly records: AccountRecords;
  readonly instruments: () => Iterable<InstrumentId>;
}

/** Generates snapshots asynchronously: reads requests from the log and replies with commands. */
export function snapshotWorker({ database, server, host, zones, userStore, records, instruments }: SnapshotParts): Projection {
  const group = server === null ? GROUP : `${GROUP}@${server}`;
  const reactor: EventReactor<AccountEvent> = {
    name: group,
    wants: (zone) => kindOf(zone) === accountZone.kind,
    async *react(event, zone): AsyncGenerator<Reaction> {
      if (event.type !== 'AccountSnapshotRequested') return;
      const { request } = event;
      const found = await userStore.user(keyOf(zone));
      const send = (command: AccountCommand): Reaction => ({ to: zone, command, ...(found && { tenant: found.tenant }) });
      if (!found) return yield send({ type: 'FailSnapshot', request, reason: 'There is no such user.' });
      const step = (done: number) =>
        send({ type: 'NoteProgress', progress: { request, step: STEPS[done - 1] ?? '', done, of: STEPS.length } });
      yield step(1);
      const tier = await userStore.tierOf(found.tenant);
      yield step(2);
      const watchlist = [...instruments()].slice(0, WATCHLIST_SIZE);
      yield step(3);
      const { name, email, tenant, role } = found;
      const snapshot: AccountSnapshot = {
        request,
        revision: zones.view(keyOf(zone))?.state.snapshot?.revision ?? 0,
        generatedAt: Date.now(),
        profile: { name, email, tenant, role },
        limits: TIERS[tier],
        watchlist,
      };
      // Recorded for all servers before it is published, so that a user finds it on the others too.
      yield send({ type: 'RecordSnapshot', request, snapshot: await records.save(keyOf(zone), snapshot) });
    },
  };
  return reactorProjection({
    reactor,
    host,
    offsets: () => offsetsOf(database, group),
    saveOffsets: (read) => database.drizzle.transaction((transaction) => saveOffsets(transaction, group, read)),
  });
}
