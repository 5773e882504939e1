/** A trade as the console shows it. */
export interface ShownTrade {
  readonly time: number;
  readonly price: string;
  readonly quantity: string;
  readonly side: string;
  readonly id: string;
}

/**
 * The newest trades, newest first, each once: the stream and the API have some of them both.
 * @param newer trades of the stream, newest first
 */
export function newestTrades(newer: readonly ShownTrade[], older: readonly ShownTrade[], limit: number): readonly ShownTrade[] {
  const byId = new Map<string, ShownTrade>();
  for (const trade of [...newer, ...older]) if (!byId.has(trade.id)) byId.set(trade.id, trade);
  return [...byId.values()].sort((one, other) => other.time - one.time).slice(0, limit);
}
