import type { PlayerId, PlayerStatus, WorldHostStatus, ZoneView } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { Hub, InitialEvent } from '@millrace/streams';
import type { Gateway } from './gateway/gateway.ts';
import { playerStatus, type WorldConnectionInfo, worldStatus, zoneStatuses } from './status.ts';

/** Interval at which watched zones and players are read, ms. */
const LOOK_MS = 200;
/** Reads between two reports on the whole world. */
const LOOKS_PER_REPORT = 5;

export interface WorldStreamParts {
  readonly hub: Hub;
  readonly gateway: Gateway;
  readonly clock: Clock;
  readonly connectionInfo: WorldConnectionInfo;
  readonly hosts: () => WorldHostStatus[];
}

/** Initial events of the channel `world`. */
export function worldEvents({ gateway, connectionInfo, hosts }: Omit<WorldStreamParts, 'hub' | 'clock'>): InitialEvent[] {
  return [
    { event: 'world', key: 'world', data: worldStatus(gateway, connectionInfo) },
    { event: 'zones', key: 'zones', data: zoneStatuses(gateway) },
    { event: 'hosts', key: 'hosts', data: hosts() },
  ];
}

/** Publishes the status of the world to its subscribers, until the returned function is called. Channels without subscribers are not read. */
export function streamWorld(parts: WorldStreamParts): () => void {
  const { hub, gateway, clock } = parts;
  /** Channels whose last read has no reply yet: a slow host gets no second query. */
  const pending = new Set<string>();
  /** Players whose newest published status has a zone. */
  const placed = new Set<string>();
  let looks = 0;
  let cancel = () => {};

  const look = (channel: string, event: string, ask: () => Promise<object | null>) => {
    if (pending.has(channel)) return;
    pending.add(channel);
    void ask().then((data) => {
      pending.delete(channel);
      if (data !== null) hub.publish(channel, 'conflated', event, '', data);
    });
  };
  const again = () => {
    cancel = clock.after(LOOK_MS, () => {
      again();
      if (++looks % LOOKS_PER_REPORT === 0 && hub.isWanted('world'))
        for (const { event, key, data } of worldEvents(parts)) hub.publish('world', 'conflated', event, key, data);
      for (const [channel, zone] of watched(hub, 'zones:'))
        look(channel, 'zone', async () => {
          const view = (await gateway.ask({ about: 'objects', zone })) as Pick<ZoneView, 'seq' | 'objects'> | null;
          return view && ({ zone, seq: view.seq, stateAt: clock.now(), objects: view.objects } satisfies ZoneView);
        });
      const players = watched(hub, 'players:');
      for (const player of placed) if (!players.some(([, one]) => one === player)) placed.delete(player);
      for (const [channel, player] of players)
        look(channel, 'player', async () => {
          const status = await playerStatus(gateway, player);
          if (status) placed.add(player);
          // After a restore of a zone to a point in time before the player came, no zone has it.
          return status ?? (placed.delete(player) ? nowhere(player) : null);
        });
    });
  };
  again();
  return () => cancel();
}

/** Status of a player that no zone has any more. */
function nowhere(id: PlayerId): PlayerStatus {
  const connection = { connected: false, remote: null, rttMs: null, framesIn: 0, framesOut: 0, droppedUpdates: 0 };
  return { id, zone: null, host: null, ...connection, player: null };
}

function watched(hub: Hub, prefix: string): [channel: string, subject: string][] {
  return hub.wanted(prefix).map((channel) => [channel, channel.slice(prefix.length)]);
}
