import { ApiError } from '../api.ts';
import { usePreferences } from '../preferences.ts';
import { KOREAN_ERRORS, WITH_DETAIL } from '../text/korean/errors.ts';
import { useText } from '../text/text.ts';

/**
 * Says what went wrong, with what to do: in English in the server’s words, in Korean by the code. That there was no answer is said in words of ours; browsers
 * have some that nobody understands.
 */
export function useErrorWords(): (error: Error) => string {
  const text = useText();
  const { language } = usePreferences();
  return (error) => {
    if (error instanceof ApiError && error.code === 'UNREACHABLE') return text.unreachable;
    // Browsers do not tell apart why nothing came of it, so that no page learns which passkeys there are.
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') return text.passkeyNotShown;
    if (error.name === 'InvalidStateError') return text.passkeyKnown;
    const words = 'remedy' in error ? `${error.message} ${error.remedy}` : error.message;
    if (language !== 'ko' || !(error instanceof ApiError) || !Object.hasOwn(KOREAN_ERRORS, error.code)) return words;
    const translated = KOREAN_ERRORS[error.code as keyof typeof KOREAN_ERRORS];
    return WITH_DETAIL.has(error.code) ? `${translated} (${error.message})` : translated;
  };
}
