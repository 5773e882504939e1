import { usePersistedOperations as persisted } from '@graphql-yoga/plugin-persisted-operations';
import { isStorable } from '@millrace/http';
import { GraphQLError, type GraphQLSchema, parse } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { DOCUMENT_CHARACTERS_MAX, nestingError, queryLimitError, TOKENS_MAX } from './limits.ts';
import type { Resources } from './schema.ts';
import { subscriptionFieldRule } from './subscription-rule.ts';

type Context = YogaInitialContext & Resources;

/**
 * Answers what a client got wrong as the client’s error, over all transports alike: without this, parameters that are no JSON are a failure of the server
 * (500), and what throws while a document is parsed or validated has no code, or ends a WebSocket with all its operations.
 */
export function clientErrors(): Plugin<Context> {
  return {
    onRequestParse: ({ requestParser, setRequestParser }) => {
      if (!requestParser) return;
      setRequestParser(async (request) => {
        try {
          return await requestParser(request);
        } catch (error) {
          throw error instanceof SyntaxError ? parametersError(error) : error;
        }
      });
    },
    onParse: ({ parseFn, setParseFn }) => {
      setParseFn((text, options) => {
        try {
          return parseFn(text, options);
        } catch (error) {
          if (error instanceof GraphQLError) error.extensions.code ??= 'GRAPHQL_PARSE_FAILED';
          throw error;
        }
      });
    },
    onValidate: ({ validateFn, setValidationFn, addValidationRule }) => {
      addValidationRule(subscriptionFieldRule);
      // The rule for subscriptions reads their directives, and throws where their arguments are wrong.
      setValidationFn((...args) => {
        try {
          return validateFn(...args);
        } catch (error) {
          if (error instanceof GraphQLError) return [error];
          throw error;
        }
      });
    },
  };
}

export function operationError(name: string | null | undefined): GraphQLError {
  const detail = name ? `The document has no operation "${name.slice(0, 64)}".` : 'The document has several operations, or none.';
  return new GraphQLError(detail, {
    extensions: { code: 'OPERATION_RESOLUTION_FAILURE', remedy: 'Name one of its operations in "operationName".' },
  });
}

function parametersError({ message }: SyntaxError): GraphQLError {
  return new GraphQLError(`A parameter of the request is not JSON: ${message}`, {
    extensions: { code: 'BAD_REQUEST', remedy: 'Send "variables" and "extensions" as JSON objects.', http: { status: 400 } },
  });
}

/**
 * Refuses documents that are too large, over all transports alike: before they are kept as a persisted query, before they are parsed, and, once they
 * are parsed and the variables are known, before they are validated.
 */
export function limited(schema: GraphQLSchema): Plugin<Context> {
  return {
    onParams: ({ params }) => requireShortDocument(params.query),
    onParse: ({ params: { source }, setParseFn }) => {
      requireShortDocument(String(source));
      setParseFn((text, options) => {
        const error = nestingError(String(text));
        if (error) throw error;
        return parse(text, { ...options, maxTokens: TOKENS_MAX });
      });
      return ({ result, context: { params } }) => {
        if (result === null || result instanceof Error) return;
        const error = variablesError(params?.variables) ?? queryLimitError(schema, result, params?.variables ?? {});
        // Thrown, not put in place of the document: yoga would keep it for the document, whatever its variables are.
        if (error) throw error;
      };
    },
  };
}

/** @param text as the client sent it; may be missing where it is named by its hash */
export function requireShortDocument(text: unknown): void {
  if (text === undefined || text === null) return;
  if (typeof text !== 'string')
    throw new GraphQLError(`"query" is ${Array.isArray(text) ? 'a list' : `of type ${typeof text}`}.`, {
      extensions: { code: 'BAD_REQUEST', remedy: 'Send the document as a string.', http: { status: 400 } },
    });
  if (text.length > DOCUMENT_CHARACTERS_MAX)
    throw new GraphQLError(`The document has ${text.length} characters; the limit is ${DOCUMENT_CHARACTERS_MAX}.`, {
      extensions: { code: 'QUERY_TOO_LARGE', remedy: 'Send long values as variables.', http: { status: 400 } },
    });
}

function variablesError(variables: unknown): GraphQLError | null {
  if (isStorable(variables ?? null)) return null;
  return new GraphQLError('The variables have a NUL character, half of a surrogate pair, or too many levels.', {
    extensions: { code: 'BAD_REQUEST', remedy: 'Send well-formed Unicode, in at most 32 levels.', http: { status: 400 } },
  });
}

/** Rejects every operation that is not listed. @param operations documents by SHA-256 */
export function onlyListed(operations: ReadonlyMap<string, string>): Plugin {
  return persisted({ getPersistedOperation: (hash) => operations.get(hash) ?? null }) as Plugin;
}
