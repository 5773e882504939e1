import { CLIENT_FRAMES, type ClientFrame, LENGTH_BYTES, type ServerFrame, writeLength } from '@millrace/contracts';
import { Packr, Unpackr } from 'msgpackr';
import { Compile } from 'typebox/compile';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

const schemas = new Map(Object.entries(CLIENT_FRAMES).map(([t, schema]) => [t, Compile(schema)]));

/** Encodes a frame for TCP: length, then MessagePack. WebSocket messages omit the four bytes of length. */
export function encodeFrame(frame: ServerFrame): Buffer {
  const body = packr.pack(frame);
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  writeLength(bytes, body.length);
  body.copy(bytes, LENGTH_BYTES);
  return bytes;
}

/** Decodes a frame’s body without checks; undefined when it is not a MessagePack map with a `t`. */
export function decodeBody(body: Uint8Array): { t: string } | undefined {
  try {
    const decoded = unpackr.unpack(body) as { t?: unknown } | null;
    return typeof decoded === 'object' && decoded !== null && typeof decoded.t === 'string' ? (decoded as { t: string }) : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the frame when a client may send it; otherwise the text of the error. */
export function checkFrame(decoded: { t: string }): ClientFrame | string {
  const schema = schemas.get(decoded.t);
  if (!schema) return `"${decoded.t.slice(0, 32)}" is not a frame type. Use one of: ${[...schemas.keys()].join(', ')}.`;
  const frame: unknown = decoded;
  if (schema.Check(frame)) return frame as ClientFrame;
  const [mistake] = schema.Errors(frame);
  return `${decoded.t}${mistake?.instancePath ?? ''} ${mistake?.message ?? 'is not as it should be'}.`;
}
