import type { PlayerId } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import { and, asc, eq, gt, sql } from 'drizzle-orm';
import { playerOwners } from './tables.ts';

/** A player of a user, whose newest token is still valid. */
export interface OwnedPlayer {
  readonly player: PlayerId;
  readonly name: string;
}

/** The players of each user. All servers that share the tables count the same players. */
export class PlayerOwners {
  readonly #database: Database;
  readonly #playersMax: number;

  /** @param playersMax players that one user may have at a time */
  constructor(database: Database, playersMax: number) {
    this.#database = database;
    this.#playersMax = playersMax;
  }

  /**
   * Records a new player, unless the user has as many as allowed. A player counts for as long as its newest token is valid.
   * @param until when the token of the new player ends, epoch ms
   * @returns null when it is recorded; otherwise the players that the user has
   */
  add(user: string, { player, name }: OwnedPlayer, now: number, until: number): Promise<readonly OwnedPlayer[] | null> {
    return this.#withPlayersOf(user, now, async (transaction, owned) => {
      if (owned.length >= this.#playersMax) return owned;
      await transaction.insert(playerOwners).values({ player, user, name, createdAt: now, until });
      return null;
    });
  }

  /**
   * Records the owner of a player without one. The caller checks the proof of ownership. A recorded owner is not replaced.
   * @param until when the new token of the player ends, epoch ms
   * @returns the players of the user when it has as many as allowed without this one
   */
  adopt(
    user: string,
    { player, name }: OwnedPlayer,
    now: number,
    until: number,
  ): Promise<'recorded' | 'of-another-user' | readonly OwnedPlayer[]> {
    return this.#withPlayersOf(user, now, async (transaction, owned) => {
      const isOwned = owned.some((one) => one.player === player);
      if (!isOwned && owned.length >= this.#playersMax) return owned;
      const recorded = await transaction
        .insert(playerOwners)
        .values({ player, user, name, createdAt: now, until })
        .onConflictDoUpdate({ target: playerOwners.player, set: { name, until }, setWhere: eq(playerOwners.user, user) })
        .returning({ player: playerOwners.player });
      return recorded.length > 0 ? 'recorded' : 'of-another-user';
    });
  }

  #withPlayersOf<T>(user: string, now: number, work: (transaction: Transaction, owned: readonly OwnedPlayer[]) => Promise<T>): Promise<T> {
    return this.#database.drizzle.transaction(async (transaction) => {
      // Serializes the requests of one user over all servers.
      await transaction.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`players of ${user}`}, 0))`);
      await transaction.delete(playerOwners).where(and(eq(playerOwners.user, user), sql`${playerOwners.until} <= ${now}`));
      const owned = await transaction
        .select({ player: playerOwners.player, name: playerOwners.name })
        .from(playerOwners)
        .where(eq(playerOwners.user, user))
        .orderBy(asc(playerOwners.createdAt));
      return work(transaction, owned);
    });
  }

  /** Records a new token of a player. False when the player is not one of that user’s. */
  async renew(user: string, { player, name }: OwnedPlayer, now: number, until: number): Promise<boolean> {
    const renewed = await this.#database.drizzle
      .update(playerOwners)
      .set({ name, until })
      .where(and(eq(playerOwners.player, player), eq(playerOwners.user, user), gt(playerOwners.until, now)))
      .returning({ player: playerOwners.player });
    return renewed.length > 0;
  }
}
