import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ZoneId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { HostPort, ToZoneHost } from './messages.ts';
import { ASK_MS, type Asked, Questions } from './questions.ts';

const zone = '0-0' as ZoneId;
const question = (again: Asked['again']): Asked => ({
  zone,
  message: (ask) => ({ type: 'question', ask, question: { about: 'zone', zone } }),
  again,
});

/** A host that keeps the numbers of what it was asked. */
function host(id: string): HostPort & { readonly asked: number[] } {
  const asked: number[] = [];
  return { id, asked, send: (message: ToZoneHost) => asked.push((message as { ask: number }).ask) };
}

describe('what a zone is asked', () => {
  for (const again of ['yes', 'no'] as const)
    test(`is sent to its next host when it has none now (again: ${again})`, async () => {
      const questions = new Questions(new ManualClock(), () => undefined);
      const next = host('next');
      const answer = questions.ask(question(again));
      questions.placed('1-0' as ZoneId, next);
      assert.equal(next.asked.length, 0, 'it is of another zone');
      questions.placed(zone, next);
      assert.equal(next.asked.length, 1);
      questions.answered(next.asked[0] as number, 'the answer');
      assert.equal(await answer, 'the answer');
    });

  test('goes to the next host when the one that had it does not have the zone any more, or is silent', async () => {
    for (const saysSo of [true, false]) {
      const [first, next] = [host('first'), host('next')];
      const questions = new Questions(new ManualClock(), () => first);
      const answer = questions.ask(question('yes'));
      if (saysSo) questions.answered(first.asked[0] as number, null);
      questions.placed(zone, next);
      questions.answered(next.asked[0] as number, 'the answer');
      assert.equal(await answer, 'the answer');
      questions.answered(first.asked[0] as number, 'too late');
    }
  });

  test('is not sent twice when it is a command: a host that is silent may have decided it', async () => {
    const clock = new ManualClock();
    const [first, next] = [host('first'), host('next')];
    const questions = new Questions(clock, () => first);
    const answer = questions.ask(question('no'));
    questions.placed(zone, next);
    assert.deepEqual(next.asked, []);
    await clock.advance(ASK_MS);
    assert.equal(await answer, null);
  });

  test('is asked again soon when its host is rebuilding the zone', async () => {
    const clock = new ManualClock();
    const only = host('only');
    const questions = new Questions(clock, () => only);
    const answer = questions.ask(question('yes'));
    questions.answered(only.asked[0] as number, null);
    await clock.advance(100);
    assert.equal(only.asked.length, 2);
    questions.answered(only.asked[1] as number, 'the answer');
    assert.equal(await answer, 'the answer');
  });

  test('is null at once where an answer is wanted now, and there is no host or that one cannot say', async () => {
    const nowhere = new Questions(new ManualClock(), () => undefined);
    assert.equal(await nowhere.ask(question('now')), null);
    const only = host('only');
    const questions = new Questions(new ManualClock(), () => only);
    const answer = questions.ask(question('now'));
    questions.answered(only.asked[0] as number, null);
    assert.equal(await answer, null);
  });

  test('is null when nobody answers in time, and is forgotten then', async () => {
    const clock = new ManualClock();
    const questions = new Questions(clock, () => undefined);
    const next = host('next');
    const answer = questions.ask(question('yes'));
    await clock.advance(ASK_MS);
    assert.equal(await answer, null);
    questions.placed(zone, next);
    assert.deepEqual(next.asked, []);
  });
});
