import { type FragmentDefinitionNode, GraphQLError, Kind, OperationTypeNode, type SelectionSetNode, type ValidationRule } from 'graphql';

const FORBIDDEN_DIRECTIVES: ReadonlySet<string> = new Set(['skip', 'include']);

/**
 * Validation rule: `@skip` and `@include` must not remove the only field of a subscription (GraphQL specification, September 2025,
 * section 5.2.4.1). The executor would fail, because no field is left to subscribe to.
 */
export const subscriptionFieldRule: ValidationRule = (context) => ({
  [Kind.OPERATION_DEFINITION]: ({ operation, selectionSet }) => {
    if (operation !== OperationTypeNode.SUBSCRIPTION) return;
    const visited = new Set<FragmentDefinitionNode>();
    const check = ({ selections }: SelectionSetNode): void => {
      for (const selection of selections) {
        const directive = selection.directives?.find(({ name }) => FORBIDDEN_DIRECTIVES.has(name.value));
        if (directive) {
          const message = `The field of a subscription cannot have the directive "@${directive.name.value}".`;
          context.reportError(new GraphQLError(message, { nodes: directive }));
        }
        if (selection.kind === Kind.INLINE_FRAGMENT) check(selection.selectionSet);
        if (selection.kind !== Kind.FRAGMENT_SPREAD) continue;
        const fragment = context.getFragment(selection.name.value);
        if (!fragment || visited.has(fragment)) continue;
        visited.add(fragment);
        check(fragment.selectionSet);
      }
    };
    check(selectionSet);
  },
});
