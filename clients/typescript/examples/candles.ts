// The newest candles of an instrument, and then each as it changes.
// node clients/typescript/examples/candles.ts http://127.0.0.1:7420 mill_yourKey simulator:BTC-USDT
import { apiKey, createClient } from '@millrace/client';

const [url = '', key = '', instrument = ''] = process.argv.slice(2);
const millrace = createClient({ url, credentials: apiKey(key) });

const { rows, status } = await millrace.getCandles({ id: instrument, interval: '1m', limit: 5 });
console.log(`${rows.length} candles, ${status}`);

let seen = 0;
for await (const { event, data } of millrace.events([`candles:${instrument}:1m`])) {
  if (event === 'candle') console.log(`close ${data.close}`);
  if (++seen === 5) break;
}
