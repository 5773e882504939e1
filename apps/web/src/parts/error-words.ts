import { ApiError } from '../api.ts';
import { useText } from '../text/text.ts';

/** Says what went wrong: in the server’s words, with what to do; or that there was no answer, for which browsers have words that nobody understands. */
export function useErrorWords(): (error: Error) => string {
  const text = useText();
  return (error) => {
    if (error instanceof ApiError && error.code === 'UNREACHABLE') return text.unreachable;
    // Browsers do not tell apart why nothing came of it, so that no page learns which passkeys there are.
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') return text.passkeyNotShown;
    if (error.name === 'InvalidStateError') return text.passkeyKnown;
    return 'remedy' in error ? `${error.message} ${error.remedy}` : error.message;
  };
}
