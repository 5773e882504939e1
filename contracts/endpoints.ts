import type { Type } from 'typebox';
import { ACCOUNT_ENDPOINTS } from './accounts/endpoints.ts';
import { SIGN_IN_ENDPOINTS } from './accounts/sign-in-endpoints.ts';
import { TENANT_ENDPOINTS } from './accounts/tenant-endpoints.ts';
import { COLLECTOR_ENDPOINTS } from './collector/endpoints.ts';
import type { Wire } from './instant.ts';
import { MARKET_ENDPOINTS } from './market/endpoints.ts';
import type { InstrumentId } from './market/instrument.ts';
import { OPERATIONS_ENDPOINTS } from './operations/endpoints.ts';
import { SYSTEM_ENDPOINTS } from './system/endpoints.ts';
import { WORLD_ENDPOINTS } from './worlds/endpoints.ts';

/** All operations of Millrace, by name. The contract of each module lists its own. */
export const ENDPOINTS = {
  ...SYSTEM_ENDPOINTS,
  ...MARKET_ENDPOINTS,
  ...COLLECTOR_ENDPOINTS,
  ...SIGN_IN_ENDPOINTS,
  ...ACCOUNT_ENDPOINTS,
  ...TENANT_ENDPOINTS,
  ...WORLD_ENDPOINTS,
  ...OPERATIONS_ENDPOINTS,
} as const;
export type EndpointName = keyof typeof ENDPOINTS;

type Endpoints = typeof ENDPOINTS;
type Part<E, K extends string> = E extends { readonly [Key in K]: infer S extends Type.TSchema } ? Type.Static<S> : unknown;

type Parts<E> = Part<E, 'params'> & Part<E, 'query'> & Part<E, 'body'>;
/** Callers pass instrument ids as plain strings; the server validates them. */
type Plain<V> = V extends InstrumentId ? string : Wire<V>;

/** Arguments of an operation: its path parameters, query parameters and body fields in one object. */
export type EndpointArgs<N extends EndpointName> = { [K in keyof Parts<Endpoints[N]>]: Plain<Parts<Endpoints[N]>[K]> };

/** Response of an operation. */
export type EndpointResponse<N extends EndpointName> = Wire<Type.Static<Endpoints[N]['response']>>;
