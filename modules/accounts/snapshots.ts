import { type AccountEvent, type AccountSnapshot, type InstrumentId, TIERS } from '@millrace/contracts';
import { type Database, offsetsOf, saveOffsets } from '@millrace/database';
import { keyOf, kindOf, type ZoneHost } from '@millrace/kernel';
import { type EventReactor, type Projection, type Reaction, reactorProjection } from '@millrace/log';
import type { Zones } from '@millrace/topics';
import type { AccountRecords } from './account-records.ts';
import type { UserStore } from './user-store.ts';
import { type AccountCommand, type AccountState, accountZone } from './zone.ts';

/** Name of the consumer group; of several servers on one database each reads a log of its own, so each is a group of its own. */
const GROUP = 'account-snapshots';
/** Instruments a new user begins with. */
const WATCHED_FIRST = 8;
const STEPS = ['profile', 'limits', 'watchlist'] as const;

export interface SnapshotParts {
  readonly database: Database;
  /** Which server’s log is read, where several share a database; null where there is one. */
  readonly server: string | null;
  readonly host: ZoneHost;
  readonly zones: Zones<AccountState, AccountCommand>;
  readonly userStore: UserStore;
  readonly records: AccountRecords;
  readonly instruments: () => Iterable<InstrumentId>;
}

/** Puts snapshots together, behind whoever asked for them: it reads requests from the log and answers with commands. */
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
      const watchlist = [...instruments()].slice(0, WATCHED_FIRST);
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
      // Recorded for every server before anyone is told of it: what a user has seen here it finds at the others.
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
