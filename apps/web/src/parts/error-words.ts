import { ApiError } from '../api.ts';
import { usePreferences } from '../preferences.ts';
import { KOREAN_ERRORS, WITH_DETAIL } from '../text/korean/errors.ts';
import { filled, useText } from '../text/text.ts';

/**
 * Message and remedy of an error: in English the text of the server, in Korean a text by code. Without a response the console has its own text, because
 * messages of browsers are unclear.
 */
export function useErrorWords(): (error: Error) => string {
  const text = useText();
  const { language } = usePreferences();
  return (error) => {
    if (error instanceof ApiError && error.code === 'UNREACHABLE') return text.unreachable;
    if (error instanceof ApiError && error.code === '') return filled(text.unexpectedResponse, { status: String(error.status) });
    // Browsers report one error for all causes, so that a page cannot find out which passkeys exist.
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') return text.passkeyNotShown;
    if (error.name === 'InvalidStateError') return text.passkeyKnown;
    const words = 'remedy' in error ? `${error.message} ${error.remedy}` : error.message;
    if (language !== 'ko' || !(error instanceof ApiError) || !Object.hasOwn(KOREAN_ERRORS, error.code)) return words;
    const translated = KOREAN_ERRORS[error.code as keyof typeof KOREAN_ERRORS];
    return WITH_DETAIL.has(error.code) ? `${translated} (${error.message})` : translated;
  };
}
