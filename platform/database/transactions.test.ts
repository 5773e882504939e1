import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { until } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import pg from 'pg';
import { connectDatabase, type Database } from './database.ts';
import { trackPool } from './stopping-pool.ts';

/** A message of the protocol of PostgreSQL. */
function message(type: string, content = ''): Buffer {
  const bytes = Buffer.alloc(5 + content.length);
  bytes.write(type);
  bytes.writeInt32BE(4 + content.length, 1);
  bytes.write(content, 5, 'latin1');
  return bytes;
}

const READY = message('Z', 'I');
const COMPLETE = Buffer.concat([message('C', 'DONE\0'), READY]);
const REFUSED = Buffer.concat([message('E', 'SERROR\0C57014\0Mrefused\0\0'), READY]);

describe('connections of a pool', () => {
  /** What the server does with a statement. */
  let respond: (statement: string, socket: Socket) => void;
  let statements: string[] = [];
  let connections = 0;
  let url: string;
  let database: Database;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', '\0\0\0\0'), READY]));
      socket.on('data', (bytes) => {
        if (bytes.toString('latin1', 0, 1) !== 'Q') return;
        const statement = bytes.toString('latin1', 5, bytes.length - 1);
        statements.push(statement);
        respond(statement, socket);
      });
    });
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `postgresql://postgres@127.0.0.1:${(server.address() as AddressInfo).port}/postgres`;
    database = connectDatabase({ url });
  });
  after(() => {
    // Not awaited: it would wait for a connection that never returns.
    void database.close();
    server.close();
  });
  beforeEach(() => {
    statements = [];
    connections = 0;
    respond = (_statement, socket) => void socket.write(COMPLETE);
  });
  const transaction = (work = async () => {}) => database.drizzle.transaction(work);

  test('return to it when they are lost while a transaction begins', async () => {
    respond = (_statement, socket) => void socket.destroy();
    for (let lost = 0; lost < 10; lost++) await assert.rejects(transaction(), /begin/);
    respond = (_statement, socket) => void socket.write(COMPLETE);
    await transaction();
    assert.deepEqual(statements.slice(-2), ['begin', 'commit']);
  });

  test('are used again after a transaction that was rolled back, and closed if that failed', async () => {
    const error = new Error('not valid');
    const invalid = () => transaction(() => Promise.reject(error));
    await transaction();
    const first = connections;
    await assert.rejects(invalid(), error);
    await transaction();
    assert.equal(connections, first);
    respond = (statement, socket) => void socket.write(statement === 'rollback' ? REFUSED : COMPLETE);
    await assert.rejects(invalid(), /rollback/);
    await transaction();
    assert.equal(connections, first + 1);
  });

  test('are ended when the process stops and the database does not respond', async () => {
    respond = () => {};
    const pool = new pg.Pool({ connectionString: url });
    pool.on('connect', (client) => client.on('error', () => {}));
    const tracked = trackPool(pool, 0);
    const query = assert.rejects(pool.query('select 1'));
    await until(() => statements.length === 1, 'the server has the query');
    assert.equal(tracked.isUnresponsive, false);
    tracked.stopping();
    await query;
    await pool.end();
    assert.equal(tracked.isUnresponsive, true);
  });

  test('are not ended while the process runs, nor when they are not in use', async () => {
    const pool = new pg.Pool({ connectionString: url });
    const tracked = trackPool(pool, 0);
    await pool.query('select 1');
    tracked.stopping();
    await pool.end();
    assert.equal(tracked.isUnresponsive, false);
  });

  test('are in use for a transaction until it ends', async () => {
    await database.drizzle.transaction(async (open) => void (await open.execute(sql`select 1`)));
    assert.deepEqual(statements, ['begin', 'select 1', 'commit']);
  });
});
