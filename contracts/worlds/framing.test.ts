import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FrameSplitter, FrameTooLarge, LENGTH_BYTES, writeLength } from './framing.ts';

function framed(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + body.length);
  writeLength(frame, body.length);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

describe('frames', () => {
  test('are returned unchanged, however the stream is split into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 })),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (bodies, cuts) => {
          const stream = Uint8Array.from(bodies.flatMap((body) => [...framed(body)]));
          const splitter = new FrameSplitter(300);
          const found: number[][] = [];
          for (let at = 0, cut = 0; at < stream.length; cut++) {
            const end = at + (cuts[cut % cuts.length] ?? 1);
            splitter.push(stream.subarray(at, end), (body) => found.push([...body]));
            at = end;
          }
          assert.deepEqual(
            found,
            bodies.map((body) => [...body]),
          );
          assert.equal(splitter.held, 0);
        },
      ),
    );
  });

  test('above the maximum length are refused as soon as their length is known', () => {
    const splitter = new FrameSplitter(100);
    assert.throws(() => splitter.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff), () => {}), FrameTooLarge);
    assert.throws(() => new FrameSplitter(100).push(framed(new Uint8Array(101)), () => {}), /101 bytes/);
  });
});
