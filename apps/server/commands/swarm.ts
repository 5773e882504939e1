import { UserError } from '@millrace/base/user-error';
import { startSwarm } from '../swarm/swarm.ts';

interface SwarmFlags {
  readonly players: number;
  readonly seconds: number;
  readonly server: string;
  readonly moves: number;
  readonly processes: number;
  readonly json?: boolean;
  readonly key?: string;
}

const JOIN_MS_MAX = 60_000;

/** Runs bots on a running server, and prints their statistics. */
export async function swarm({ players, seconds, server, moves, processes, json, key }: SwarmFlags): Promise<void> {
  const address = server.replace(/\/$/, '');
  const orders = { server: address, players, movesPerSecond: moves, processes, ...(key !== undefined && { key }) };
  const bots = await startSwarm(orders).catch((error) => {
    throw new UserError(
      `the bots cannot play at ${server}: ${error.message}`,
      'Start the server first ("npm start"), or select another with --server. Without demo mode, pass an API key with --key.',
    );
  });
  try {
    await bots.joined(JOIN_MS_MAX).catch((error) => {
      throw new UserError(
        error.message,
        'Select fewer with --players, or more --processes. The metrics of the server show its limits and load.',
      );
    });
    console.error(`${players} bots play`);
    const { tally, playing, cores } = await bots.watch(seconds);
    const sorted = tally.latencies.sort((one, other) => one - other);
    const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? Number.NaN) * 100) / 100;
    const stats = {
      playing,
      movesPerSecond: Math.round(tally.moves / seconds),
      accepted: tally.accepted,
      refused: tally.refused,
      drops: tally.drops,
      framesPerSecond: Math.round(tally.frames / seconds),
      kilobytesPerSecond: Math.round(tally.bytes / seconds / 1_000),
      latencyMs: { p50: at(0.5), p99: at(0.99), most: at(1 - Number.EPSILON) },
      swarmCores: Math.round(cores * 100) / 100,
    };
    console.log(json ? JSON.stringify(stats) : stats);
  } finally {
    bots.end();
  }
}
