import { randomUUID } from 'node:crypto';
import type { CommandOutcome, Endpoint, PlayerId, WorldCommand, WorldPlan, ZoneId } from '@millrace/contracts';
import { ApiProblem, type Request } from '@millrace/http';
import type { CommandMeta } from '@millrace/kernel';
import type { Gateway } from '../gateway/gateway.ts';
import { zoneUnavailable } from '../live-zone.ts';
import type { WorldRecord } from '../record/past.ts';
import { allZones } from '../zone/terrain.ts';

/** The sender of a request, and the request itself. */
export type Sender = Pick<Request<Endpoint>, 'principal' | 'raw'>;

/** The zones of the world as routes use them: known ones only, live or as recorded. */
export class ZoneAccess {
  readonly gateway: Gateway;
  readonly zones: readonly ZoneId[];
  readonly record: WorldRecord;
  readonly #plan: WorldPlan;

  constructor(gateway: Gateway, plan: WorldPlan, record: Omit<WorldRecord, 'newest'>) {
    this.gateway = gateway;
    this.zones = allZones(plan);
    this.record = { ...record, newest: (zone) => this.#newestSeq(zone) };
    this.#plan = plan;
  }

  /** @throws ApiProblem UNKNOWN_ZONE */
  require(zone: ZoneId): ZoneId {
    if (this.zones.includes(zone)) return zone;
    const { columns, rows } = this.#plan;
    throw new ApiProblem('UNKNOWN_ZONE', `Unknown zone "${zone}".`, `Zones go from 0-0 to ${columns - 1}-${rows - 1}.`);
  }

  /**
   * The zone that a player is in.
   * @throws ApiProblem UNKNOWN_PLAYER
   */
  requireOf(player: PlayerId): ZoneId {
    const zone = this.gateway.zoneOf(player);
    if (zone === undefined)
      throw new ApiProblem('UNKNOWN_PLAYER', `Unknown player "${player}".`, 'GET /api/v1/world/players?find= searches players.');
    return zone;
  }

  /**
   * Sends a command to a zone; resolves with its outcome when the log has it.
   * @throws ApiProblem ZONE_UNAVAILABLE, or NOT_CONFIRMED when the log does not confirm it in time
   */
  async decide(zone: ZoneId, command: WorldCommand, sender: Sender): Promise<CommandOutcome> {
    const reply = (await this.gateway.command(zone, command, commandMeta(sender))) as CommandOutcome | null;
    if (reply && !reply.ok) sender.raw.refused = reply.code ?? 'REFUSED';
    if (reply) return reply;
    if ((await this.#newestSeq(zone)) === null) throw zoneUnavailable(zone);
    throw new ApiProblem(
      'NOT_CONFIRMED',
      `Zone ${zone} accepted the command, but the log did not confirm it in time.`,
      'It may still take effect. Check the state before you send it again. GET /health/ready reports the state of the log.',
    );
  }

  /** The seq of a live zone; null while it is unavailable. */
  async #newestSeq(zone: ZoneId): Promise<number | null> {
    return ((await this.gateway.ask({ about: 'seq', zone })) as { seq: number } | null)?.seq ?? null;
  }
}

/** Metadata of an operator’s command, stored with its events: the request and its sender. */
export function commandMeta({ principal, raw }: Sender): CommandMeta {
  return { id: randomUUID(), correlation: raw.id, tenant: principal.tenant, ...(principal.user !== null && { actor: principal.user }) };
}
