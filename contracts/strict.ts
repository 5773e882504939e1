/** Option of an object schema that rejects unknown keys: a misspelt key would have no effect. */
export const strict = { additionalProperties: false } as const;
