import type { Random } from '@millrace/base/random';
import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';

/*
 * Random GraphQL documents by seed: most are valid, some almost valid, some expensive. They use aliases, nested fragments, directives and variables.
 */

export interface GraphQlRequest {
  readonly query: unknown;
  readonly extensions?: unknown;
  readonly variables: unknown;
  readonly operationName: unknown;
  readonly isSubscription: boolean;
}

const DIRECTIVES = [
  '@include(if: true)',
  '@skip(if: false)',
  '@include(if: $flag)',
  '@skip(if: true)',
  '@include(if: true) @include(if: true)',
  '@include(if: 1)',
  '@skip',
  '@unknown(a: {b: [1]})',
  '@deprecated',
  '@defer',
  '@stream(initialCount: 1)',
  '@specifiedBy(url: "x")',
] as const;
const LITERALS = [
  'null',
  '""',
  '-1',
  '0',
  '1e308',
  '9007199254740993',
  '1.5',
  'true',
  'UNKNOWN',
  '[]',
  '{}',
  '[[[[null]]]]',
  '{__proto__: {a: 1}, constructor: 1}',
  '"\\u0000"',
  '"\\ud800"',
  '"""block \\""" string"""',
  '"../../etc/passwd"',
  '"%2e%2e%2f%00?#"',
  '"a b\\n\\r\\tc"',
  '$flag',
  '$text',
  '$missing',
] as const;
const VALUES: readonly unknown[] = [
  null,
  '',
  ' ',
  '\u0000',
  '\ud800',
  '__proto__',
  -1,
  1e308,
  2 ** 53,
  1.5,
  true,
  [],
  {},
  [[[]]],
  'a'.repeat(5_000),
];
const TEXTS = [
  'simulator:BTC-USDT',
  'simulator',
  '1m',
  '0-0',
  'main',
  'trades:simulator:BTC-USDT',
  'tickers',
  'user',
  'p-1',
  'a',
  '가나다',
] as const;
const DEPTH_MAX = 5;
const FRAGMENTS_MAX = 6;

export class GraphQlDocuments {
  readonly #schema: GraphQLSchema;
  readonly #random: Random;
  readonly #droppedUpdates: ReadonlySet<string>;
  /** Types of the fragments of the current document. */
  #fragments: string[] = [];
  /** Number of aliases so far, to keep names unique. */
  #aliases = 0;
  /** Probability of an invalid value, from 0 to 1. */
  #nastiness = 0;

  /** @param droppedUpdates fields of mutations that are never selected */
  constructor(schema: GraphQLSchema, random: Random, droppedUpdates: ReadonlySet<string>) {
    this.#schema = schema;
    this.#random = random;
    this.#droppedUpdates = droppedUpdates;
  }

  next(): GraphQlRequest {
    this.#nastiness = this.#pick([0, 0, 0.03, 0.2]);
    const variables = this.#chance(0.9) ? { flag: this.#chance(0.5), text: this.#pick(TEXTS) } : this.#pick(VALUES);
    const operationName = this.#chance(0.9) ? undefined : this.#pick(['A', 'B', '', null, 1, {}, '__proto__']);
    if (this.#chance(0.05)) {
      const sha256Hash = this.#pick<unknown>(['0'.repeat(64), '', 1, null, {}, '__proto__', 'x'.repeat(10_000)]);
      const extensions = this.#pick<unknown>([...VALUES, { persistedQuery: { version: 1, sha256Hash } }, { persistedQuery: null }]);
      const query = this.#pick<unknown>([...VALUES, { length: 0 }, { length: 1, toString: 1 }, '{ __typename }', undefined]);
      return { query, variables, operationName, extensions, isSubscription: false };
    }
    if (this.#chance(0.15)) return { query: this.#costly(), variables, operationName, isSubscription: false };
    const [operation, root] = this.#pick([
      ...Array.from({ length: 8 }, () => ['query', this.#schema.getQueryType()] as const),
      ['mutation', this.#schema.getMutationType()] as const,
      ['subscription', this.#schema.getSubscriptionType()] as const,
    ]);
    const types = Object.values(this.#schema.getTypeMap()).filter((type) => isObjectType(type) && !type.name.startsWith('__'));
    this.#fragments = Array.from({ length: this.#below(FRAGMENTS_MAX) }, () =>
      this.#chance(0.5) ? (root?.name ?? '') : this.#pick(types).name,
    );
    const bodies = this.#fragments.map(
      (type, index) => `on ${type} ${this.#directives('')} ${this.#selections(this.#schema.getType(type), 2, index + 1)}`,
    );
    const selections = this.#selections(root ?? undefined, 0, 0);
    const fragments = this.#spreadIn(selections, bodies).map((index) => `fragment F${index} ${bodies[index]}`);
    const text = `${selections} ${fragments.join(' ')}`;
    const declared = ['$flag: Boolean! = true', '$text: String! = "a"'].filter(
      (one) => text.includes(one.slice(0, 5)) || this.#chance(this.#nastiness),
    );
    const head = `${operation} A ${declared.length > 0 ? `(${declared.join(', ')})` : ''} ${this.#directives('')}`;
    return { query: `${head} ${text}`, variables, operationName, isSubscription: operation === 'subscription' };
  }

  /** Used fragments of a document; an unused one makes it invalid. */
  #spreadIn(selections: string, bodies: readonly string[]): readonly number[] {
    if (this.#chance(this.#nastiness)) return bodies.map((_body, index) => index);
    const used = new Set<number>();
    const follow = (text: string) => {
      for (const [, index] of text.matchAll(/\.\.\.F(\d+)/g))
        if (!used.has(Number(index))) {
          used.add(Number(index));
          follow(bodies[Number(index)] ?? '');
        }
    };
    follow(selections);
    return [...used];
  }

  /** @param fragment number of the first fragment that may be spread; earlier ones would be cycles */
  #selections(type: GraphQLNamedType | undefined, depth: number, fragment: number): string {
    if (!isObjectType(type)) return '{ __typename }';
    const fields = Object.values(type.getFields()).filter(({ name }) => !this.#droppedUpdates.has(name));
    const isSubscription = type === this.#schema.getSubscriptionType() && !this.#chance(this.#nastiness);
    const count = isSubscription ? 1 : 1 + this.#below(depth === 0 ? 5 : 3);
    const selected = Array.from({ length: count }, () => {
      const kind = isSubscription ? 0 : this.#random.next();
      if (kind < 0.7) return this.#field(this.#pick(fields), depth, fragment);
      if (kind < 0.75) return '__typename';
      if (kind < 0.85)
        return `... ${this.#chance(0.5) ? `on ${type.name}` : ''} ${this.#directives()} ${this.#selections(type, depth + 1, fragment)}`;
      const wanted = this.#chance(this.#nastiness);
      const spread = this.#fragments.findIndex((on, index) => wanted || (index >= fragment && on === type.name));
      return spread < 0 ? '__typename' : `...F${spread} ${this.#directives()}`;
    });
    return `{ ${selected.join(' ')} ${this.#chance(this.#nastiness) ? 'nothing' : ''} }`;
  }

  #field(field: GraphQLField<unknown, unknown>, depth: number, fragment: number): string {
    const isPlain = field.args.length === 0 && !isObjectType(getNamedType(field.type));
    const alias = isPlain && this.#chance(0.6) ? '' : `a${this.#chance(this.#nastiness) ? 0 : ++this.#aliases}: `;
    const given = field.args.filter(({ type }) => isNonNullType(type) || this.#chance(0.4));
    const args = given.map(({ name, type }) => `${name}: ${this.#literal(type)}`).join(', ');
    const below = getNamedType(field.type);
    const inner = isObjectType(below) ? (depth < DEPTH_MAX ? this.#selections(below, depth + 1, fragment) : '{ __typename }') : '';
    return `${alias}${field.name}${args === '' ? '' : `(${args})`} ${this.#directives()} ${inner}`;
  }

  #literal(type: GraphQLInputType): string {
    if (this.#chance(this.#nastiness)) return this.#pick(LITERALS);
    if (isNonNullType(type)) return this.#literal(type.ofType as GraphQLInputType);
    if (isListType(type))
      return `[${Array.from({ length: this.#below(3) }, () => this.#literal(type.ofType as GraphQLInputType)).join(', ')}]`;
    if (isEnumType(type)) return this.#pick(type.getValues()).name;
    if (isInputObjectType(type))
      return `{${Object.values(type.getFields())
        .filter((one) => isNonNullType(one.type) || this.#chance(0.5))
        .map((one) => `${one.name}: ${this.#literal(one.type)}`)
        .join(', ')}}`;
    if (type.name === 'String' || type.name === 'ID') return this.#chance(0.1) ? '$text' : JSON.stringify(this.#pick(TEXTS));
    if (type.name === 'Boolean') return this.#pick(['true', 'false', '$flag']);
    if (type.name === 'JSON') return this.#pick(LITERALS);
    return String(this.#pick([0, 1, 2, 50, 1_000, -1, 1_700_000_000_000, 2 ** 31, 2 ** 53 - 1]));
  }

  /** @param usual allowed directives; none on operations and fragment definitions */
  #directives(usual?: string): string {
    if (this.#chance(this.#nastiness)) return this.#pick(DIRECTIVES);
    return usual ?? (this.#chance(0.1) ? this.#pick(DIRECTIVES.slice(0, 4)) : '');
  }

  /** A document that is expensive for a server without limits. */
  #costly(): string {
    const size = this.#pick([10, 60, 300, 1_500, 6_000]);
    const many = (of: (index: number) => string) => Array.from({ length: size }, (_none, index) => of(index)).join(' ');
    switch (this.#below(14)) {
      case 0:
        return `{ ${many((index) => `a${index}: instruments { data { id } }`)} }`;
      case 1:
        return `{ ...F0 } ${many((index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`)} fragment F${size} on Query { __typename }`;
      case 2:
        return `{ ...F0 } ${many((index) => `fragment F${index} on Query { ...F${(index + 1) % size} }`)}`;
      case 3:
        return `{ __schema ${'{ types { fields { type '.repeat(size)} { name } ${'} } }'.repeat(size)} }`;
      case 4:
        return `{ __typename ${many(() => this.#pick(DIRECTIVES))} }`;
      case 5:
        return `{ ${'... { '.repeat(size)} __typename ${'} '.repeat(size)} }`;
      case 6:
        return `{ instrument(id: ${'['.repeat(size)}${']'.repeat(size)}) { id } }`;
      case 7:
        return `{ instrument(id: ${'{a: '.repeat(size)}1${'}'.repeat(size)}) { id } }`;
      case 8:
        return `query A(${many((index) => `$v${index}: ${'['.repeat(5)}String${']'.repeat(5)} = "x"`)}) { __typename }`;
      case 9:
        return many((index) => `query Q${index} { __typename }`);
      case 10:
        return `{ ${many((index) => `a: ${index % 2 ? '__typename' : '__schema { types { name } }'}`)} }`;
      case 11:
        return `${many((index) => `fragment F${index} on ${index % 2 ? 'Query' : 'Instrument'} { a${index}: __typename ...F${index + 1} }`)} { __typename }`;
      case 12:
        return `query A($v: ${'['.repeat(size)}String${']'.repeat(size)}) { __typename }`;
      default:
        return `{ events(channels: [${many(() => '"tickers"')}]) { event } } #${'x'.repeat(size * 5)}`;
    }
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * count);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }
}
