/** A named interface that one module provides and others use, so that modules never import each other. */
export interface Port<T> {
  readonly name: string;
  /** Never set at run time. Carries the type of the interface. */
  readonly type?: T;
}

/** Creates a port. @example export const USERS = port<Users>('users'); */
export function port<T>(name: string): Port<T> {
  return { name };
}
