import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { normaliseTarget, requestHeadProblem } from './request-target.ts';

/** Target and host of a request after normalisation, or the status of its refusal. */
function read(url: string, ...hosts: string[]): { url: string; host: string | undefined } | number {
  const request = { url, headers: hosts[0] === undefined ? {} : { host: hosts[0] }, rawHeaders: hosts.flatMap((host) => ['Host', host]) };
  request.url = normaliseTarget(request);
  return requestHeadProblem(request)?.status ?? { url: request.url, host: request.headers.host };
}

describe('the target of a request', () => {
  test('fault 70: in absolute-form becomes origin-form, with the host of the target', () => {
    for (const [target, url, host] of [
      ['/', '/', 'a'],
      ["/x?q='%23//http://", "/x?q='%23//http://", 'a'],
      ['//b/c', '//b/c', 'a'],
      ['http://b', '/', 'b'],
      ['HTTP://b:80?q', '/?q', 'b:80'],
      ['https://[::1]:8443/api/v1/socket?q=1', '/api/v1/socket?q=1', '[::1]:8443'],
    ] as const)
      assert.deepEqual(read(target, 'a'), { url, host }, target);
  });

  test('fault 70: in any other form is refused', () => {
    for (const target of [
      '*',
      'a:443',
      'x',
      '',
      'ftp://b/',
      'http://',
      'http:///x',
      'http://me@b/',
      'http://b c/',
      'http://b/#x',
      '/x#y',
      'ws://b/',
    ])
      assert.equal(read(target, 'a'), 400, target);
  });
});

describe('the Host field', () => {
  test('fault 28: is required once, with a valid host', () => {
    for (const host of ['a', 'a.b-c.example:7420', '127.0.0.1', '[::1]:80', '[fe80::1]', 'a_b'])
      assert.deepEqual(read('/', host), { url: '/', host });
    // HTTP/1.0 does not require it; for HTTP/1.1 Node checks it.
    assert.deepEqual(read('/'), { url: '/', host: undefined });
    for (const host of ['', 'a b', 'a/b', 'me@a', 'a:b', '[::1', 'a,b/', 'http://a', 'a?b', 'a#b', 'a"b', 'a:123456'])
      assert.equal(read('/', host), 400, host);
    assert.equal(read('/', 'a', 'a'), 400);
    assert.equal(read('http://b/', 'a', 'c'), 400);
  });
});
