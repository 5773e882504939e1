import type { WorldHostStatus, ZoneView } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { Hub, InitialEvent } from '@millrace/streams';
import type { Gateway } from './gateway.ts';
import { playerStatus, type WorldConnectionInfo, worldStatus, zoneStatuses } from './status.ts';

/** How often zones and players that someone watches are looked at. */
const LOOK_MS = 200;
/** Looks between two reports on the world as a whole. */
const LOOKS_PER_REPORT = 5;

export interface WorldStreamParts {
  readonly hub: Hub;
  readonly gateway: Gateway;
  readonly clock: Clock;
  readonly connectionInfo: WorldConnectionInfo;
  readonly hosts: () => WorldHostStatus[];
}

/** What a reader of the world’s channel is told first. */
export function worldEvents({ gateway, connectionInfo, hosts }: Omit<WorldStreamParts, 'hub' | 'clock'>): InitialEvent[] {
  return [
    { event: 'world', key: 'world', data: worldStatus(gateway, connectionInfo) },
    { event: 'zones', key: 'zones', data: zoneStatuses(gateway) },
    { event: 'hosts', key: 'hosts', data: hosts() },
  ];
}

/** Tells operators how the world stands, as long as one watches; returns what ends it. What nobody watches is not looked at. */
export function streamWorld(parts: WorldStreamParts): () => void {
  const { hub, gateway, clock } = parts;
  /** Channels whose last look has no answer yet: a slow host is not asked twice. */
  const asked = new Set<string>();
  let looks = 0;
  let cancel = () => {};

  const look = (channel: string, event: string, ask: () => Promise<object | null>) => {
    if (asked.has(channel)) return;
    asked.add(channel);
    void ask().then((data) => {
      asked.delete(channel);
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
      for (const [channel, player] of watched(hub, 'players:'))
        look(channel, 'player', async () => (await playerStatus(gateway, player)) ?? null);
    });
  };
  again();
  return () => cancel();
}

function watched(hub: Hub, prefix: string): [channel: string, subject: string][] {
  return hub.wanted(prefix).map((channel) => [channel, channel.slice(prefix.length)]);
}
