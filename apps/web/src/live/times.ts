/** RFC 3339 in UTC with milliseconds, the format of times in resources. */
const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** For `JSON.parse`: times of resources become epoch ms. Their names end in `At`. */
export function reviveTime(name: string, value: unknown): unknown {
  return typeof value === 'string' && name.endsWith('At') && RFC_3339.test(value) ? Date.parse(value) : value;
}

/** A copy of stream data, with times in epoch ms. */
export function withTimes<T>(data: unknown): T {
  return copyOf('', data) as T;
}

function copyOf(name: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => copyOf('', item));
  if (typeof value !== 'object' || value === null) return reviveTime(name, value);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copyOf(key, member)]));
}
