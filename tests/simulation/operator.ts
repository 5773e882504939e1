import type { ZoneId } from '@millrace/contracts';
import type { Cluster } from './cluster.ts';

/** An operator who announces things, again and again until told that it is on record. */
export class Operator {
  isActing = true;
  /** What was said to be on record, and where. */
  readonly confirmed: { zone: ZoneId; seq: number; text: string }[] = [];
  readonly #cluster: Cluster;
  #said = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#act();
  }

  #act(): void {
    const { scheduler, zones } = this.#cluster;
    scheduler.at(scheduler.now + scheduler.between(200, 1_200), () => {
      if (this.isActing) {
        const number = ++this.#said;
        this.#insist(scheduler.pick(zones), `announcement ${number}`, `operator/${number}`);
      }
      this.#act();
    });
  }

  #insist(zone: ZoneId, text: string, id: string): void {
    const { gateway, scheduler } = this.#cluster;
    const again = () => scheduler.at(scheduler.now + scheduler.between(200, 2_000), () => this.#insist(zone, text, id));
    if (!gateway) return void again();
    let isSettled = false;
    // A server that crashes never answers; then it is asked again, as after an answer that was lost.
    const late = scheduler.at(scheduler.now + 5_000, () => {
      isSettled = true;
      again();
    });
    void gateway.command(zone, { type: 'Announce', text, operator: 'kim' }, { id }).then((answer) => {
      if (isSettled) return;
      late();
      const reply = answer as { ok: boolean; seq?: number; code?: string } | null;
      if (reply?.ok && reply.seq !== undefined) this.confirmed.push({ zone, seq: reply.seq, text });
      else again();
    });
  }
}
