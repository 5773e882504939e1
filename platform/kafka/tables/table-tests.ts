import { after, before, beforeEach, describe } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { EMPTY, ENGINES, type TestDatabase } from '@millrace/database/testing';

type Drizzle = Database['drizzle'];

/** A database with all tables, and a topic of its own for each test. */
export interface TablesUnderTest {
  readonly database: Database;
  readonly topic: string;
}

/** Runs tests on every engine. What they get is set while a test runs. */
export function describeOnEngines(name: string, tests: (under: TablesUnderTest) => void): void {
  for (const engine of ENGINES)
    describe(`${name} on ${engine.name}`, () => {
      let running: TestDatabase;
      let database: Database;
      let topics = 0;
      before(async () => {
        running = await engine.open();
        database = connectDatabase(running.address);
        await migrateDatabase(database, EMPTY.migrations);
      });
      after(async () => {
        await database.close();
        await running.close();
      });
      beforeEach(() => {
        topics++;
      });
      tests({
        get database() {
          return database;
        },
        get topic() {
          return `topic-${topics}`;
        },
      });
    });
}

/** The database with another method in place of one of its own. */
export function replaced<Name extends keyof Drizzle>(
  database: Database,
  name: Name,
  by: (method: Drizzle[Name]) => Drizzle[Name],
): { drizzle: Drizzle } {
  const method = database.drizzle[name];
  const drizzle = Object.create(database.drizzle, { [name]: { value: by(method) } });
  return { drizzle };
}

/** The database, which counts the calls of one of its methods. */
export function counted(database: Database, name: 'select' | 'insert') {
  const calls = { count: 0 };
  const { drizzle } = replaced(database, name, (method) => {
    const call = (...parameters: unknown[]) => {
      calls.count++;
      return Reflect.apply(method, database.drizzle, parameters);
    };
    return call as typeof method;
  });
  return { drizzle, calls };
}
