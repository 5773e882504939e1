import type { ZoneId } from '@millrace/contracts';
import type { Logger } from '@millrace/telemetry';
import type { WorldSample } from '../alerts.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { ConservationAudit } from './contents.ts';

const LOGGED_MAX = 10;

/** Checks at intervals that no player and no item is in more than one place. */
export class ConservationWatch {
  readonly #audit: ConservationAudit;
  readonly #logger: Logger;
  #duplicates: WorldSample['duplicates'] = [];

  constructor(gateway: Gateway, zones: readonly ZoneId[], logger: Logger) {
    this.#audit = new ConservationAudit(gateway, zones);
    this.#logger = logger;
  }

  /** Duplicates that the last check found. */
  get duplicates(): WorldSample['duplicates'] {
    return this.#duplicates;
  }

  async check(): Promise<void> {
    const found = await this.#audit.look();
    if (!found) return;
    for (const duplicate of found.slice(0, LOGGED_MAX)) this.#logger.error(duplicate, 'a player or item is in more than one zone or place');
    this.#duplicates = found.map(({ what, id, zones }) => ({ what, id, places: zones.length }));
  }
}
