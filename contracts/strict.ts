/** Option of an object schema that rejects unknown keys. Without it, a misspelled key would be ignored. */
export const strict = { additionalProperties: false } as const;
