import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTRACTS } from '@millrace/contracts';
import fc from 'fast-check';
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLObjectType,
  getIntrospectionQuery,
  getNamedType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
  visit,
} from 'graphql';
import { measureDocument, type QueryLimits, queryLimitError, TOKENS_MAX } from './limits.ts';
import { graphSchema } from './schema.ts';

const schema = graphSchema(CONTRACTS);
const NO_LIMITS: QueryLimits = {
  depthMax: Number.POSITIVE_INFINITY,
  introspectionDepthMax: Number.POSITIVE_INFINITY,
  costMax: Number.POSITIVE_INFINITY,
  valuesMax: Number.POSITIVE_INFINITY,
  fieldsMax: Number.POSITIVE_INFINITY,
  sameFieldMax: Number.POSITIVE_INFINITY,
};
const codeOf = (text: string, variables = {}) =>
  queryLimitError(schema, parse(text, { maxTokens: TOKENS_MAX }), variables)?.extensions.code ?? null;

/** A copy of the document that counts how often its selection sets are read. */
function countReads(document: DocumentNode): { document: DocumentNode; reads: () => number; nodes: number } {
  let reads = 0;
  const counted = visit(document, {
    SelectionSet: {
      leave: (node): SelectionSetNode => {
        const { selections } = node;
        return Object.defineProperty({ ...node }, 'selections', {
          enumerable: true,
          get: () => {
            reads++;
            return selections;
          },
        });
      },
    },
  });
  reads = 0;
  return { document: counted, reads: () => reads, nodes: nodesIn(document) };
}

function nodesIn(document: DocumentNode): number {
  let nodes = 0;
  visit(document, { enter: () => void nodes++ });
  return nodes;
}

/** Reference implementation of the measures: expands every fragment at each spread, in exponential time. */
function expand(document: DocumentNode): { cost: number; depth: number; fields: number } {
  const fragments = new Map(
    document.definitions
      .filter((definition): definition is FragmentDefinitionNode => definition.kind === Kind.FRAGMENT_DEFINITION)
      .map((fragment) => [fragment.name.value, fragment]),
  );
  const expandedFields = (
    set: SelectionSetNode,
    type: GraphQLObjectType,
  ): { type: GraphQLObjectType; field: string; limit: number | null; inner: SelectionSetNode | undefined }[] =>
    set.selections.flatMap((selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT) return expandedFields(selection.selectionSet, type);
      if (selection.kind === Kind.FRAGMENT_SPREAD)
        return expandedFields((fragments.get(selection.name.value) as FragmentDefinitionNode).selectionSet, type);
      const value = selection.arguments?.find(({ name }) => name.value === 'limit')?.value;
      return [
        { type, field: selection.name.value, limit: value?.kind === Kind.INT ? Number(value.value) : null, inner: selection.selectionSet },
      ];
    });
  const measure = (set: SelectionSetNode, parent: GraphQLObjectType, times: number, depth: number): { cost: number; depth: number } => {
    let [cost, deepest] = [0, depth];
    for (const { type, field, limit, inner } of expandedFields(set, parent)) {
      const defined = type.getFields()[field];
      if (!defined) continue;
      const isPage = getNamedType(defined.type).name.endsWith('List');
      // A page without a limit has 100 rows. Candles always have a limit here; 500 of them cost as much as one call.
      const rows = limit ?? (isPage ? 100 : null);
      if (defined.extensions.isCall) cost += times * (1 + (rows ?? 0) / 500);
      const below = getNamedType(defined.type);
      const isList = isListType(isNonNullType(defined.type) ? defined.type.ofType : defined.type);
      if (!inner || !isObjectType(below)) continue;
      const isOfPage = type.name.endsWith('List');
      const size = measure(inner, below, times * (isPage || (isList && !isOfPage) ? (rows ?? 10) : 1), depth + 1);
      cost += size.cost;
      deepest = Math.max(deepest, size.depth);
    }
    return { cost, depth: deepest };
  };
  const operation = document.definitions.find(
    (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
  );
  const root = schema.getQueryType() as GraphQLObjectType;
  const set = (operation as OperationDefinitionNode).selectionSet;
  return { ...measure(set, root, 1, 1), fields: expandedFields(set, root).length };
}

/** Documents without fragment cycles: each fragment spreads only later ones. Fragments are on two types. */
const documents = fc
  .record({
    picks: fc.array(fc.array(fc.nat(99), { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 9 }),
  })
  .map(({ picks }) => {
    const isQuery = (index: number) => index % 2 === 0;
    const selection = (at: number, onQuery: boolean, pick: number): string => {
      const later = picks.map((_, index) => index).filter((index) => index > at && isQuery(index) === onQuery);
      const inside = picks.map((_, index) => index).filter((index) => index > at && !isQuery(index));
      const instrument = inside.length > 0 ? `...F${inside[pick % inside.length]} id` : 'id';
      const choice = pick % 5;
      if (choice === 0 && later.length > 0) return `...F${later[pick % later.length]}`;
      if (choice === 1 && later.length > 0) return `... { ...F${later[(pick + 1) % later.length]} }`;
      if (onQuery)
        return choice === 2 ? `i${pick}: instruments { data { ${instrument} } }` : `i${pick}: instrument(id: "a") { ${instrument} }`;
      return choice === 2 ? `c${pick}: candles(interval: "1m", limit: ${pick}) { rows }` : choice === 3 ? 'getQuote { bid }' : 'price';
    };
    const bodies = picks.map((chosen, index) => chosen.map((pick) => selection(index, isQuery(index), pick)).join(' '));
    const [root = '', ...others] = bodies;
    return `{ ${root} } ${others.map((body, index) => `fragment F${index + 1} on ${isQuery(index + 1) ? 'Query' : 'Instrument'} { ${body} }`).join(' ')}`;
  });

describe('GraphQL query limits', () => {
  test('fault 18: a chain of fragments that each spread the next one twice is not expanded', () => {
    const fragments = Array.from({ length: 40 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`);
    const text = `{ ...F0 } ${fragments.join(' ')} fragment F40 on Query { instruments { data { id } } }`;
    const { document, reads, nodes } = countReads(parse(text));
    assert.equal(queryLimitError(schema, document, {})?.extensions.code, 'QUERY_TOO_LARGE');
    assert.ok(reads() <= nodes, `${reads()} selection sets were read in a document of ${nodes} nodes`);
  });

  test('fault 18: the measured size equals the size with every fragment expanded', () => {
    fc.assert(
      fc.property(documents, (text) => {
        const document = parse(text);
        const [size] = measureDocument(schema, document, {}, NO_LIMITS).operations;
        assert.ok(size);
        const expanded = expand(document);
        assert.equal(size.depth, expanded.depth, text);
        assert.ok(Math.abs(size.cost - expanded.cost) <= 1e-9 * Math.max(1, expanded.cost), `${size.cost} ${expanded.cost} ${text}`);
        const fields = [...size.fields.values()].reduce((sum, count) => sum + count, 0);
        assert.equal(fields, expanded.fields, text);
      }),
    );
  });

  test('fault 18: the number of measuring steps is linear in the size of the document', () => {
    // The worst case for expansion: each fragment spreads the next one twice and adds its own fields.
    const documentOf = (length: number) =>
      parse(
        `{ ...F0 } ${Array.from({ length }, (_, index) => `fragment F${index} on Query { i${index}: instrument(id: "a") { id ...G${index} } ${index + 1 < length ? `...F${index + 1} ...F${index + 1}` : ''} } fragment G${index} on Instrument { id price }`).join(' ')}`,
      );
    const stepsPerNode = (length: number) => {
      const document = documentOf(length);
      return measureDocument(schema, document, {}, NO_LIMITS).steps / nodesIn(document);
    };
    assert.ok(stepsPerNode(200) <= stepsPerNode(20) * 1.1, `${stepsPerNode(20)} ${stepsPerNode(200)}`);
    fc.assert(
      fc.property(documents, (text) => {
        const document = parse(text);
        const { steps } = measureDocument(schema, document, {}, NO_LIMITS);
        // A spread adds one step per field name of its fragment: at most six per type here.
        assert.ok(steps <= 7 * nodesIn(document), `${steps} ${text}`);
      }),
    );
  });

  test('accepts the introspection query of tools and a query for the candles of all instruments', () => {
    assert.equal(codeOf(getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true, specifiedByUrl: true })), null);
    assert.equal(codeOf('{ instruments { data { id candles(interval: "1m", limit: 10) { rows } } } }'), null);
  });

  test('counts the argument `limit` as a number, a string, a variable or a variable default', () => {
    const rows = (limit: string) => `{ instruments { data { candles(interval: "1m", limit: ${limit}) { rows } } } }`;
    for (const limit of ['20000', '"20000"', '2e4']) assert.equal(codeOf(rows(limit)), 'QUERY_TOO_LARGE', limit);
    const withVariable = `{ instruments { data { candles(interval: "1m", limit: $limit) { rows } } } }`;
    assert.equal(codeOf(`query ($limit: SafeInt = 20000) ${withVariable}`), 'QUERY_TOO_LARGE');
    assert.equal(codeOf(`query ($limit: SafeInt = 20000) ${withVariable}`, { limit: 10 }), null);
    assert.equal(codeOf(`query ($limit: SafeInt) ${withVariable}`, { limit: '20000' }), 'QUERY_TOO_LARGE');
    const inside = '{ a: instrument(id: "a") { candles(interval: "1m", limit: 0) { rows } } ';
    assert.equal(codeOf(`${inside} ${'instruments { data { id } } '.repeat(11)} }`), 'QUERY_TOO_LARGE');
  });

  test('limits the size of introspection responses, and the fragments, operations and fields that validation compares', () => {
    const ten = (of: (index: number) => string) => Array.from({ length: 10 }, (_, index) => of(index)).join(' ');
    assert.equal(
      codeOf(`{ ${ten((a) => `a${a}: __schema { types { ${ten((b) => `b${b}: fields { name type { name } }`)} } }`)} }`),
      'QUERY_TOO_LARGE',
    );
    const fragments = (count: number) =>
      Array.from({ length: count }, (_, index) => `fragment F${index} on Query { a${index}: __typename }`);
    assert.equal(
      codeOf(
        `{ ${fragments(60)
          .map((_, index) => `...F${index}`)
          .join(' ')} } ${fragments(60).join(' ')}`,
      ),
      'QUERY_TOO_LARGE',
    );
    assert.equal(codeOf(Array.from({ length: 21 }, (_, index) => `query Q${index} { __typename }`).join(' ')), 'QUERY_TOO_LARGE');
    // In an unused fragment, and in an operation that is not executed.
    const conflicts = Array.from({ length: 300 }, (_, index) => `a: ${index % 2 ? '__typename' : '__schema'}`).join(' ');
    assert.equal(codeOf(`{ __typename } fragment F on Query { ${conflicts} }`), 'QUERY_TOO_LARGE');
    assert.equal(codeOf(`query A { __typename } query B { ${conflicts} }`), 'QUERY_TOO_LARGE');
  });

  test('leaves fragment cycles and unknown fields to validation', () => {
    assert.equal(codeOf('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'), null);
    assert.equal(codeOf('{ nothing { at { all } } ...Missing }'), null);
    assert.equal(codeOf(`{ ${'a { '.repeat(13)} b ${'}'.repeat(13)} }`), 'QUERY_TOO_LARGE');
  });
});
