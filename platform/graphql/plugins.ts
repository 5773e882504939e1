import { usePersistedOperations as persisted } from '@graphql-yoga/plugin-persisted-operations';
import { isStorable } from '@millrace/http';
import { GraphQLError, type GraphQLSchema, parse } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { DOCUMENT_CHARACTERS_MAX, nestingError, queryLimitError, TOKENS_MAX } from './limits.ts';
import type { Resources } from './schema.ts';
import { subscriptionFieldRule } from './subscription-rule.ts';

type Context = YogaInitialContext & Resources;

/**
 * Reports mistakes in a request as client errors with a code, over every transport. Without this plugin, parameters that are not JSON cause a 500.
 * An error while a document is parsed or validated would have no code, or close a WebSocket with all its operations.
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
      // The built-in rule for subscriptions reads their directives, and throws when the directives’ arguments are invalid.
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

/** The error for a document in which the operation to execute cannot be determined. */
export function operationError(name: string | null | undefined): GraphQLError {
  const detail = name ? `The document has no operation "${name.slice(0, 64)}".` : 'The document has no operation or several operations.';
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
 * Refuses documents that are too large, over every transport. Checks the length before a document is stored as a persisted query, the nesting before
 * it is parsed, and the estimated cost before it is validated.
 */
export function queryLimits(schema: GraphQLSchema): Plugin<Context> {
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
        // Thrown, not returned as the parse result: yoga would cache the error for the document, and it depends on the variables.
        if (error) throw error;
      };
    },
  };
}

/**
 * Checks the type and the length of a document.
 * @param text as the client sent it; may be missing when the client names the document by its hash
 * @throws GraphQLError with `BAD_REQUEST` or `QUERY_TOO_LARGE`
 */
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

/** Rejects every operation that is not in the configured list. @param operations documents by SHA-256 */
export function onlyConfiguredOperations(operations: ReadonlyMap<string, string>): Plugin {
  return persisted({ getPersistedOperation: (hash) => operations.get(hash) ?? null }) as Plugin;
}
