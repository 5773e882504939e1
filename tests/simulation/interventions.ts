import type { CommandOutcome, RestoreOutcome, WorldCommand, ZoneId } from '@millrace/contracts';
import { type PointInTime, zoneAddress } from '@millrace/kernel';
import { openFileSnapshots } from '@millrace/snapshots';
import {
  NotOnRecord,
  type ReplayedPoint,
  recordOf,
  replayZone,
  restoreZone,
  type WorldRecord,
  worldZone,
  zoneAtPoint,
} from '@millrace/worlds';
import type { Cluster } from './cluster.ts';

/** Maximum distance of a queried point from the current one, in events and ms. */
const PAST_EVENTS = 60;
const PAST_MS = 15_000;
const REPLAY_MS_MAX = 3_000;
const BAG_SPACE = 3;

/** An answer about the past of a zone. */
export interface Told {
  readonly zone: ZoneId;
  readonly asked: PointInTime;
  readonly seq: number;
  readonly hash: string;
  /** Kind of the query: point, replay or restore. */
  readonly by: string;
}

/** A change of the state of a zone by an operator. */
export interface Restored {
  readonly zone: ZoneId;
  readonly reason: string;
  readonly outcome: RestoreOutcome;
}

/** Actions of operators besides announcements: queries of the past, restores, edits, kicks, replacements of hosts. They use the code of the HTTP API. */
export class Interventions {
  readonly told: Told[] = [];
  readonly restored: Restored[] = [];
  /** Refused points. */
  readonly refused: { readonly zone: ZoneId; readonly asked: PointInTime; readonly why: string }[] = [];
  readonly #cluster: Cluster;
  #numbered = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Queries the state of a zone at a point in the log, before its start, or in the future. */
  async ask(zone: ZoneId): Promise<void> {
    const record = this.#record();
    if (!record) return;
    const asked = await this.#someMoment(record, zone);
    await this.#refusing(zone, asked, async () => {
      const { seq, hash } = await zoneAtPoint(record, zone, asked);
      this.told.push({ zone, asked, seq, hash, by: 'a question' });
    });
  }

  /** Queries a replay of a zone. */
  async replay(zone: ZoneId): Promise<void> {
    const record = this.#record();
    if (!record) return;
    const { scheduler, server } = this.#cluster;
    const from = Math.floor(server.now() - scheduler.between(0, PAST_MS));
    const to = Math.floor(from + scheduler.between(0, REPLAY_MS_MAX));
    await this.#refusing(zone, { time: from }, async () => {
      const points: ReplayedPoint[] = await replayZone(record, zone, { from, to: Math.min(to, Math.floor(server.now())), stepMs: 250 });
      for (const { time, seq, hash } of points) this.told.push({ zone, asked: { time }, seq, hash, by: 'a replay' });
    });
  }

  /** Restores a zone to a point, or requests the dry run. */
  async restore(zone: ZoneId): Promise<void> {
    const record = this.#record();
    const { gateway, zones, scheduler } = this.#cluster;
    if (!record || !gateway) return;
    const asked = this.#beforeSomeTake(zone) ?? (await this.#someMoment(record, zone));
    const dryRun = scheduler.chance(0.3);
    const reason = `restore ${++this.#numbered}${dryRun ? ', dry' : ''}`;
    await this.#refusing(zone, asked, async () => {
      const decide = async (to: ZoneId, command: WorldCommand) => {
        const reply = (await gateway.command(to, command, { id: `operator/${reason}/${++this.#numbered}` })) as CommandOutcome | null;
        if (!reply) throw new Error('it was not confirmed in time');
        return reply;
      };
      const outcome = await restoreZone({ gateway, zones, record, decide }, zone, { point: asked, operator: 'kim', reason, dryRun });
      this.#cluster.note(`${reason} of ${zone} to ${JSON.stringify(asked)}: ${JSON.stringify({ ...outcome, hash: '' }).slice(0, 300)}`);
      this.restored.push({ zone, reason, outcome });
      this.told.push({ zone, asked, seq: outcome.restoredSeq, hash: outcome.hash, by: reason });
    });
  }

  /** Changes a component of a player. */
  edit(player: string): void {
    const { scheduler } = this.#cluster;
    const roll = scheduler.between(0, 1);
    if (roll < 0.3) return this.injure(player, Math.round(scheduler.between(0, 100)));
    if (roll < 0.6)
      return this.#command(player, {
        component: 'bag',
        fields: {
          items: Array.from({ length: scheduler.pick([0, 1, BAG_SPACE]) }, () => ({ id: '', item: scheduler.pick(['apple', 'boots']) })),
        },
      });
    const place = { x: Math.round(scheduler.between(0, 19_200)), y: Math.round(scheduler.between(0, 6_400)) };
    this.#command(player, { component: 'position', fields: place });
  }

  /** @param points new health; 0 kills the player */
  injure(player: string, points: number): void {
    this.#command(player, { component: 'health', fields: { points } });
  }

  kick(player: string): void {
    const { gateway } = this.#cluster;
    const zone = gateway?.zoneOf(player);
    if (gateway && zone !== undefined)
      void gateway.command(
        zone,
        { type: 'KickPlayer', player, operator: 'kim', reason: 'a test' },
        { id: `operator/kick ${++this.#numbered}` },
      );
  }

  #command(player: string, edit: { component: 'health' | 'bag' | 'position'; fields: Record<string, unknown> }): void {
    const { gateway } = this.#cluster;
    const zone = gateway?.zoneOf(player);
    if (!gateway || zone === undefined) return;
    const command: WorldCommand = { type: 'EditPlayer', player, ...edit, operator: 'kim', reason: 'a test' };
    void gateway.command(zone, command, { id: `operator/edit ${++this.#numbered}` }).then((reply) => {
      this.#cluster.note(`edit of ${player} in ${zone}, ${JSON.stringify(edit)}: ${JSON.stringify(reply)}`);
    });
  }

  /** The log as the server reads it, after retention; null while the server is down. */
  #record(): WorldRecord | null {
    const { gateway, log, hot, files, server } = this.#cluster;
    if (!gateway || !server.isUp) return null;
    return {
      log: log.history(server),
      hot: hot.for(server),
      cold: openFileSnapshots('cold', files.for(server)),
      clock: server,
      newest: async (zone) => ((await gateway.ask({ about: 'seq', zone })) as { seq: number } | null)?.seq ?? null,
    };
  }

  /** @returns the recorded range of a zone */
  async range(zone: ZoneId): Promise<Awaited<ReturnType<typeof recordOf>> | null> {
    const record = this.#record();
    return record && recordOf(record, zone);
  }

  async #someMoment(record: WorldRecord, zone: ZoneId): Promise<PointInTime> {
    const { scheduler, server } = this.#cluster;
    const roll = scheduler.between(0, 1);
    // Before the start of the log; seconds instead of milliseconds.
    if (roll < 0.1) return scheduler.pick([{ time: 1 }, { seq: 0 }, { time: Math.floor(server.now() / 1_000) }]);
    if (roll < 0.6) return { time: Math.floor(server.now() - scheduler.between(0, PAST_MS)) };
    const newest = (await record.newest(zone)) ?? 0;
    return { seq: Math.max(0, Math.round(newest + 2 - scheduler.between(0, PAST_EVENTS))) };
  }

  /** In half of the cases the point before a player took an item, as for an operator who returns it: the player may be in another zone since. */
  #beforeSomeTake(zone: ZoneId): PointInTime | null {
    const { log, scheduler } = this.#cluster;
    const taken = log
      .ofZone(zoneAddress(worldZone.kind, zone))
      .flatMap(({ firstSeq, events }) => events.flatMap(({ type }, index) => (type === 'ItemPickedUp' ? [firstSeq + index] : [])));
    return taken.length > 0 && scheduler.chance(0.5) ? { seq: scheduler.pick(taken) - 1 } : null;
  }

  /** Records refusals. While services have faults, any request may fail. */
  async #refusing(zone: ZoneId, asked: PointInTime, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof NotOnRecord) this.refused.push({ zone, asked, why: error.message });
    }
  }
}
