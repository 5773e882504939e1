import { SocketRequest } from '@millrace/contracts';
import { Compile } from 'typebox/compile';

/** Maximum length of what a refusal repeats of an invalid request. */
const REPEATED_CHARACTERS_MAX = 64;

const requestSchema = Compile(SocketRequest);
const schemasByOp = new Map(SocketRequest.anyOf.map((schema) => [schema.properties.op.const as string, Compile(schema)]));

export function isSocketRequest(message: unknown): message is SocketRequest {
  return requestSchema.Check(message);
}

/** What is wrong with an invalid request, and the remedy. @param op its `op`, or the type of that value */
export function mistakeIn(message: unknown, op: string): { readonly detail: string; readonly remedy: string } {
  const [mistake] = schemasByOp.get(op)?.Errors(message) ?? [];
  if (!mistake) return { detail: `Unknown op "${op}".`, remedy: 'Use op subscribe, unsubscribe, authenticate or ping; see /docs.' };
  const { instancePath, message: requirement } = mistake;
  const [, field = '', name = ''] = instancePath.split('/');
  const value = (message as Record<string, unknown>)[field];
  const place = `"${op}"${field === '' ? '' : `: "${field}"`}`;
  if (field === 'channels' && Array.isArray(value) && name === '')
    return {
      detail: `${place} has ${value.length} channels.`,
      remedy: 'Give 1 to 256 channels in a request. A connection can send several requests.',
    };
  if (field === 'from' && name !== '')
    return {
      detail: `${place} has ${shown((value as Record<string, unknown>)[unescaped(name)])} for ${shown(unescaped(name))}, which is not a valid position.`,
      remedy: 'Use the position of a received message, or omit it.',
    };
  // A token is not repeated.
  const given = field === '' || field === 'token' ? '' : `, not ${shown(value)}`;
  return { detail: `${place} ${requirement}${given}.`, remedy: 'Send the fields that /docs describes for this op.' };
}

/** A name in a JSON Pointer (RFC 6901, section 4). */
const unescaped = (name: string) => name.replaceAll('~1', '/').replaceAll('~0', '~');

/** A value, shortened. Only text and numbers are repeated: an object may be too deep to convert. */
function shown(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > REPEATED_CHARACTERS_MAX ? `${value.slice(0, REPEATED_CHARACTERS_MAX)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined) return String(value);
  return Array.isArray(value) ? `an array of ${value.length}` : `a value of type ${typeof value}`;
}
