import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { closeFrame, FrameBoundary } from './websocket-frames.ts';

/** A frame with each possible length of header, masked or not. */
const frames = fc
  .record({ length: fc.constantFrom(0, 1, 125, 126, 300, 65_535, 65_536, 70_000), isMasked: fc.boolean() })
  .map(({ length, isMasked }) => {
    const size =
      length < 126
        ? [length]
        : length < 65_536
          ? [126, length >> 8, length & 0xff]
          : [127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
    size[0] = (size[0] as number) | (isMasked ? 0x80 : 0);
    return Buffer.concat([Buffer.from([0x82, ...size, ...(isMasked ? [1, 2, 3, 4] : [])]), Buffer.alloc(length, 0x81)]);
  });

test('fault 78: the end of each frame is found, however its bytes are split', () => {
  fc.assert(
    fc.property(fc.array(frames, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(), { maxLength: 12 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent);
      const ends = new Set(sent.map((_, index) => sent.slice(0, index + 1).reduce((sum, { length }) => sum + length, 0)));
      const at = [...new Set([...cuts.map((cut) => cut % bytes.length), ...ends])].sort((one, other) => one - other);
      const boundary = new FrameBoundary();
      let from = 0;
      for (const end of at) {
        boundary.push(bytes.subarray(from, end));
        from = end;
        assert.equal(boundary.isBetweenFrames, end === 0 || ends.has(end));
      }
    }),
    { numRuns: 50 },
  );
});

test('fault 78: a close frame says its code and reason', () => {
  const frame = closeFrame(1001, 'the server stops');
  assert.deepEqual([...frame.subarray(0, 4)], [0x88, 18, 0x03, 0xe9]);
  assert.equal(frame.subarray(4).toString(), 'the server stops');
  const boundary = new FrameBoundary();
  boundary.push(frame);
  assert.ok(boundary.isBetweenFrames);
});
