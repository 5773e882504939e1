import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hidden } from './config.ts';

test('passwords in URLs are hidden, wherever they are', () => {
  for (const [url, shown] of [
    ['postgres://mill:s3cret@db:5432/mill', 'postgres://mill:…@db:5432/mill'],
    ['redis://:s3cret@r:6379', 'redis://:…@r:6379'],
    ['postgres://u:pa@ss@h/db', 'postgres://u:…@h/db'],
    ['postgres://h/db?user=u&password=s3cret&ssl=true', 'postgres://h/db?user=u&password=…&ssl=true'],
    ['https://feed.example/v1?apiKey=s3cret', 'https://feed.example/v1?apiKey=…'],
    ['https://feed.example:8443/a@b?limit=5', 'https://feed.example:8443/a@b?limit=5'],
    ['BTC-USDT', 'BTC-USDT'],
  ] as const)
    assert.equal(hidden('url', url), shown);
  assert.equal(hidden('clientSecret', 's3cret'), '…');
});
