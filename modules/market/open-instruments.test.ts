import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InstrumentCommand, instrumentId } from '@millrace/contracts';
import { InstrumentOpener } from './open-instruments.ts';

const BTC = instrumentId('v', 'BTC-USD');
const LISTED = { id: BTC, source: 'v', symbol: 'BTC', simulated: false, negativePrices: false };

for (const how of ['listed', 'added by a pattern'] as const)
  test(`an instrument ${how} whose zone cannot be opened at once accepts no commands before its listing`, async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const sent: InstrumentCommand['type'][] = [];
    const attempts: PromiseWithResolvers<void>[] = [];
    const opener = new InstrumentOpener(
      {
        open: () => {
          const attempt = Promise.withResolvers<void>();
          attempts.push(attempt);
          return attempt.promise;
        },
        send: (_id, command) => {
          sent.push(command.type);
          return true;
        },
      },
      () => {},
    );
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    if (how === 'listed') void opener.openAll([LISTED], []);
    else opener.add(LISTED);
    assert.equal(opener.isUnopened(BTC), how !== 'listed', 'commands wait at their source until the zone is open');
    attempts[0]?.reject(new Error('disk full'));
    await settled();
    assert.ok(opener.isUnopened(BTC));
    context.mock.timers.tick(2_000);
    attempts[1]?.reject(new Error('disk full'));
    await settled();
    context.mock.timers.tick(2_000);
    sent.length = 0;
    assert.ok(opener.isUnopened(BTC), 'not during the retry either');
    attempts[2]?.resolve();
    await settled();
    assert.deepEqual([sent, opener.isUnopened(BTC)], [['ListInstrument', 'MarkStale', ...(how === 'listed' ? [] : ['MarkLive'])], false]);
    opener.stop();
  });
