import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listAll, type Millrace, signIn } from '@millrace/client';
import type { AccountSnapshot, Candle, QuoteResource, TradeEvent, Wire } from '@millrace/contracts';
import { useChannel, useEvents } from '@millrace/react';

/*
 * Fault 35: what the compiler says of the client. Checked by `npm run check`; each line after @ts-expect-error compiles no more when the types get worse.
 */

async function narrows(millrace: Millrace, instrument: string): Promise<void> {
  millrace.watch([`trades:${instrument}`, 'tickers'], (message) => {
    if (message.event === 'trade') message.data.price satisfies TradeEvent['price'];
    // @ts-expect-error A ticker carries an instrument, whose price may be null.
    if (message.event === 'ticker') message.data.price satisfies string;
    // @ts-expect-error There is no such event on these channels.
    if (message.event === 'quote') return;
  });
  for await (const { event, data } of millrace.events([`candles:${instrument}:1m`])) {
    if (event === 'candle') data.close satisfies Candle['close'];
    if (event === 'gap') data.reason satisfies 'evicted' | 'epoch-changed' | 'lost' | 'withdrawn' | 'slow-reader';
  }
  // @ts-expect-error There is no channel of that kind.
  millrace.watch(['trade:simulator:BTC-USDT'], () => {});
  // @ts-expect-error There are no candles of seven minutes.
  millrace.watch(['candles:simulator:BTC-USDT:7m'], () => {});
  const { rows } = await millrace.getTrades({ id: instrument });
  for (const [time, price, quantity, side, id] of rows)
    [time satisfies number, price, quantity, side satisfies 'buy' | 'sell' | 'unknown', id satisfies string];
  for await (const { state } of listAll(millrace.listSources)) state satisfies string;
  for await (const { email } of listAll(millrace.listUsers, { tenant: 'main' })) email satisfies string;
  // @ts-expect-error The users of which tenant must be said.
  void listAll(millrace.listUsers, {});
  signIn('', '', '').refused() satisfies boolean;
}

function Hooks(): null {
  const { events, error } = useChannel('quotes:simulator:BTC-USDT');
  events.quote satisfies Wire<QuoteResource> | undefined;
  error?.remedy satisfies string | undefined;
  useEvents(['snapshots.generated'], ({ data }) => data satisfies Wire<AccountSnapshot>);
  // @ts-expect-error There is no such event on one's own channel.
  useEvents(['snapshots.made'], () => {});
  return null;
}

test('fault 35: types of the client are checked by the compiler', () => {
  assert.ok(narrows.length + Hooks.length > 0);
});
