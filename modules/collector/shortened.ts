/** Text of a value of a venue, cut to a number of characters. Such values have any type and length. */
export function shortened(value: unknown, charactersMax: number): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
}
