/**
 * Data source of the handler of an endpoint, which determines how current its response is.
 * `owner`: the zone itself. `projection`: a store that a consumer group fills from the log; it may lag behind.
 * `database`: the relational database. `process`: memory of the process that handles the request.
 */
export type ReadSource = 'owner' | 'projection' | 'database' | 'process';
