import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ZoneId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { HostPort, ToZoneHost } from '../messages.ts';
import { ASK_MS, Questions, type ZoneRequest } from './questions.ts';

const zone = '0-0' as ZoneId;
const question = (again: ZoneRequest['again']): ZoneRequest => ({
  zone,
  message: (ask) => ({ type: 'question', ask, question: { about: 'zone', zone } }),
  again,
});

/** A host that records the numbers of the requests it receives. */
function host(id: string): HostPort & { readonly requests: number[] } {
  const requests: number[] = [];
  return { id, requests, send: (message: ToZoneHost) => requests.push((message as { ask: number }).ask) };
}

describe('a request to a zone', () => {
  for (const again of ['yes', 'no'] as const)
    test(`is sent to its next host when it has none now (again: ${again})`, async () => {
      const questions = new Questions(new ManualClock(), () => undefined);
      const next = host('next');
      const reply = questions.ask(question(again));
      questions.placed('1-0' as ZoneId, next);
      assert.equal(next.requests.length, 0, 'it is of another zone');
      questions.placed(zone, next);
      assert.equal(next.requests.length, 1);
      questions.answered(next.requests[0] as number, 'the answer');
      assert.equal(await reply, 'the answer');
    });

  test('goes to the next host when the first one no longer has the zone or does not reply', async () => {
    for (const saysSo of [true, false]) {
      const [first, next] = [host('first'), host('next')];
      const questions = new Questions(new ManualClock(), () => first);
      const reply = questions.ask(question('yes'));
      if (saysSo) questions.answered(first.requests[0] as number, null);
      questions.placed(zone, next);
      questions.answered(next.requests[0] as number, 'the answer');
      assert.equal(await reply, 'the answer');
      questions.answered(first.requests[0] as number, 'too late');
    }
  });

  test('is not sent twice when it is a command: a host that is silent may have decided it', async () => {
    const clock = new ManualClock();
    const [first, next] = [host('first'), host('next')];
    const questions = new Questions(clock, () => first);
    const reply = questions.ask(question('no'));
    questions.placed(zone, next);
    assert.deepEqual(next.requests, []);
    await clock.advance(ASK_MS);
    assert.equal(await reply, null);
  });

  test('is sent again soon when its host is rebuilding the zone', async () => {
    const clock = new ManualClock();
    const only = host('only');
    const questions = new Questions(clock, () => only);
    const reply = questions.ask(question('yes'));
    questions.answered(only.requests[0] as number, null);
    await clock.advance(100);
    assert.equal(only.requests.length, 2);
    questions.answered(only.requests[1] as number, 'the answer');
    assert.equal(await reply, 'the answer');
  });

  test('resolves with null at once for `now`, when there is no host or the host cannot reply', async () => {
    const nowhere = new Questions(new ManualClock(), () => undefined);
    assert.equal(await nowhere.ask(question('now')), null);
    const only = host('only');
    const questions = new Questions(new ManualClock(), () => only);
    const reply = questions.ask(question('now'));
    questions.answered(only.requests[0] as number, null);
    assert.equal(await reply, null);
  });

  test('resolves with null at once for `now`, when the zone loses its host before the reply', async () => {
    for (const next of [null, host('next')]) {
      const questions = new Questions(new ManualClock(), () => host('first'));
      const reply = questions.ask(question('now'));
      questions.placed(zone, next);
      assert.equal(await reply, null);
    }
  });

  test('resolves with null when no reply arrives in time, and is dropped then', async () => {
    const clock = new ManualClock();
    const questions = new Questions(clock, () => undefined);
    const next = host('next');
    const reply = questions.ask(question('yes'));
    await clock.advance(ASK_MS);
    assert.equal(await reply, null);
    questions.placed(zone, next);
    assert.deepEqual(next.requests, []);
  });
});
