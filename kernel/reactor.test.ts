import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from './batch.ts';
import { type Reactor, reactionsOf } from './reactor.ts';
import { newHost, type Turnstile, turnstile } from './testing/index.ts';

/** Whoever enters the gate goes on to the hall. */
const usher: Reactor<{ type: string; people?: number }> = {
  name: 'usher',
  *react(event) {
    if (event.type === 'Admitted') yield { to: 'turnstile/hall', command: { type: 'Admit', people: event.people } };
  },
};

describe('a reactor', () => {
  test('turns events of one zone into commands for others, and an event that comes twice has one effect', async () => {
    const { host, clock, decided } = newHost([turnstile]);
    await host.open('turnstile/gate');
    await host.open('turnstile/hall');
    host.tell('turnstile/gate', { type: 'Admit', people: 4 }, { correlation: 'trace-1' });
    host.tell('turnstile/gate', { type: 'Draw' });
    await clock.settle();
    const [batch] = decided as EventBatch[];
    const deliver = async () => {
      for (const { to, command, meta } of reactionsOf(usher, batch as EventBatch)) {
        assert.deepEqual(meta, { id: 'usher/turnstile/gate/1/1/0', correlation: 'trace-1' });
        host.tell(to, command, meta);
      }
      await clock.settle();
    };
    await deliver();
    await deliver();
    assert.equal((host.view('turnstile/hall')?.state as Turnstile).admitted, 4);
  });
});
