import type { TSchema } from 'typebox';
import { rfc3339Of } from './instant.ts';
import { timeOf } from './time.ts';

/** Converts a value. Null stands for a conversion that changes nothing. */
export type Conversion = ((value: unknown) => unknown) | null;

/** The subset of JSON Schema that the contracts use. */
interface Shape {
  readonly $id?: string;
  readonly type?: string;
  readonly format?: string;
  readonly anyOf?: readonly Shape[];
  readonly items?: Shape;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly patternProperties?: Readonly<Record<string, Shape>>;
}

/** Conversion of a value of the server to JSON: times of the schema become RFC 3339 strings. */
export const toWire = (schema: TSchema): Conversion => compile(schema as Shape, (time) => rfc3339Of(time as number));

/** Conversion of valid JSON to a value of the server: times of the schema become epoch ms. */
export const fromWire = (schema: TSchema): Conversion => compile(schema as Shape, (text) => timeOf(text as string));

/** Compiles the schema once, so that a conversion visits only the parts of a value that have times. Conversions copy values and never change them. */
function compile(shape: Shape, convert: (time: unknown) => unknown): Conversion {
  if (shape.format === 'date-time') return (value) => (value === null || value === undefined ? value : convert(value));
  if (shape.anyOf) return alternative(shape.anyOf, convert);
  if (shape.items) return elements(compile(shape.items, convert));
  const fields = Object.entries(shape.properties ?? {}).flatMap(([name, property]) => {
    const conversion = compile(property, convert);
    return conversion ? [[name, conversion] as const] : [];
  });
  if (fields.length > 0) return members(fields);
  const [values] = Object.values(shape.patternProperties ?? {});
  return values ? entries(compile(values, convert)) : null;
}

/** Conversion of a union. At most one alternative may have times, because the alternative of a value would be ambiguous. */
function alternative(shapes: readonly Shape[], convert: (time: unknown) => unknown): Conversion {
  const [conversion = null, ...others] = shapes.map((shape) => compile(shape, convert)).filter((conversion) => conversion !== null);
  if (others.length > 0) throw new Error(`several alternatives of a schema have times: ${JSON.stringify(shapes)}`);
  return conversion && ((value) => (value === null ? null : conversion(value)));
}

function elements(conversion: Conversion): Conversion {
  return conversion && ((value) => (Array.isArray(value) ? value.map(conversion) : value));
}

function entries(conversion: Conversion): Conversion {
  if (!conversion) return null;
  return (value) =>
    isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, conversion(member)])) : value;
}

function members(fields: readonly (readonly [string, (value: unknown) => unknown])[]): Conversion {
  return (value) => {
    if (!isObject(value)) return value;
    const copy: Record<string, unknown> = { ...value };
    for (const [name, conversion] of fields) if (name in copy) copy[name] = conversion(copy[name]);
    return copy;
  };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
