/** Fields of a component that an operator edits, as JSON. The component may change meanwhile. */
export interface Draft {
  /** The fields when the edit began. */
  readonly initial: Readonly<Record<string, string>>;
  readonly edited: Readonly<Record<string, string>>;
}

export function draftOf(fields: object): Draft {
  const initial = Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, JSON.stringify(value)]));
  return { initial, edited: initial };
}

/** The fields that the operator changed. @throws if one of them is not JSON */
export function changesOf({ initial, edited }: Draft): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const [field, text] of Object.entries(edited)) {
    if (text === initial[field]) continue;
    try {
      changes[field] = JSON.parse(text);
    } catch {
      throw new Error(`${field}: ${text} is not valid JSON. Enter numbers as they are and strings in double quotes.`);
    }
  }
  return changes;
}
