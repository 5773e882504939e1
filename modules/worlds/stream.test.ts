import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import type { Hub } from '@millrace/streams';
import type { Gateway } from './gateway/gateway.ts';
import { streamWorld } from './stream.ts';

describe('the channel of a player', () => {
  test('tells once that no zone has the player any more, and nothing of a player that no zone had', async () => {
    const clock = new ManualClock();
    const zones = new Map([['p-1', '0-0']]);
    const published: [string, unknown][] = [];
    const gateway = {
      zoneOf: (player: string) => zones.get(player),
      sessionOf: () => undefined,
      hostOf: () => 'zones-1',
      ask: async () => ({ player: null }),
    };
    const hub = {
      isWanted: () => false,
      wanted: (prefix: string) => (prefix === 'players:' ? ['players:p-1', 'players:p-2'] : []),
      publish: (channel: string, _kind: string, _event: string, _key: string, { zone }: { zone: string | null }) =>
        published.push([channel, zone]),
    };
    const stop = streamWorld({
      hub: hub as unknown as Hub,
      gateway: gateway as unknown as Gateway,
      clock,
      connectionInfo: {} as never,
      hosts: () => [],
    });
    await clock.advance(200);
    zones.clear();
    await clock.advance(600);
    zones.set('p-1', '1-0');
    await clock.advance(200);
    stop();
    assert.deepEqual(published, [
      ['players:p-1', '0-0'],
      ['players:p-1', null],
      ['players:p-1', '1-0'],
    ]);
  });
});
