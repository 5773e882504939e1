import { type AccountEvent, type AccountSnapshot, type InstrumentId, TIERS } from '@millrace/contracts';
import { type EventBatch, keyOf, kindOf, type ZoneHost, zoneAddress } from '@millrace/kernel';
import { type Database, offsetsOf, saveOffsets } from '@millrace/platform/database';
import type { Projection } from '@millrace/platform/log';
import type { Members } from './members.ts';
import { type AccountCommand, accountZone } from './zone.ts';

/** Name of the consumer group; of several servers on one database each reads a log of its own, so each is a group of its own. */
const GROUP = 'account-snapshots';
/** Instruments a new user begins with. */
const WATCHED_FIRST = 8;

export interface SnapshotParts {
  readonly database: Database;
  /** Which server’s log is read, where several share a database; null where there is one. */
  readonly server: string | null;
  readonly host: ZoneHost;
  readonly members: Members;
  readonly instruments: () => Iterable<InstrumentId>;
}

/**
 * Puts snapshots together, behind whoever asked for them: it reads requests from the log and answers with commands, whose ids derive
 * from the request, so that one that is read twice has one effect.
 */
export function snapshotWorker({ database, server, host, members, instruments }: SnapshotParts): Projection {
  const group = server === null ? GROUP : `${GROUP}@${server}`;
  async function generate(user: string, request: string, trace: string | undefined): Promise<void> {
    const zone = zoneAddress(accountZone.kind, user);
    await host.open(zone);
    const found = await members.user(user);
    const about = { ...(trace !== undefined && { correlation: trace }), ...(found && { tenant: found.tenant }) };
    // Only what is on record lets the reader go on: a crash before it has the request read again.
    const tell = (command: AccountCommand, id: string) => host.submit(zone, command, { id: `${request}/${id}`, durable: true, ...about });
    if (!found) return void (await tell({ type: 'FailSnapshot', request, reason: 'There is no such user.' }, 'failed'));
    const steps = ['profile', 'limits', 'watchlist'] as const;
    const step = async (done: number) =>
      tell({ type: 'NoteProgress', progress: { request, step: steps[done - 1] ?? '', done, of: steps.length } }, String(done));
    await step(1);
    const tier = await members.tierOf(found.tenant);
    await step(2);
    const watchlist = [...instruments()].slice(0, WATCHED_FIRST);
    await step(3);
    const { name, email, tenant, role } = found;
    const snapshot: AccountSnapshot = {
      request,
      generatedAt: Date.now(),
      profile: { name, email, tenant, role },
      limits: TIERS[tier],
      watchlist,
    };
    await tell({ type: 'RecordSnapshot', snapshot }, 'done');
  }

  return {
    name: group,
    wants: (zone) => kindOf(zone) === accountZone.kind,
    offsets: () => offsetsOf(database, group),
    apply: async (batches: readonly EventBatch[], read) => {
      for (const batch of batches)
        for (const [index, event] of (batch.events as unknown as AccountEvent[]).entries())
          if (event.type === 'AccountSnapshotRequested')
            await generate(keyOf(batch.zone), event.request, batch.metas?.[index]?.correlation);
      await database.drizzle.transaction((transaction) => saveOffsets(transaction, group, read));
    },
  };
}
