/**
 * JSON whose numbers come out as the text they were written in. Some venues send prices as JSON numbers; parsed as doubles
 * they would lose trailing zeros and, beyond seventeen digits, the price itself.
 *
 * The quick way puts quotes around every number between a colon, bracket or comma and the next one. Where that hits the
 * inside of a string it always breaks the JSON (a quote there ends the string right before a digit), and then the careful
 * way, which matches whole strings first, decides.
 */
export function parseDigits(text: string): unknown {
  try {
    return JSON.parse(text.replace(NUMBER_AS_VALUE, '$1"$2"'));
  } catch {
    return JSON.parse(text.replace(STRING_OR_NUMBER, (token) => (token.charCodeAt(0) === QUOTE ? token : `"${token}"`)));
  }
}

const NUMBER_AS_VALUE = /([:[,]\s*)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=\s*[,\]}])/g;
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const QUOTE = 34;
