/** Databases of the tests: a pool, and one whose writes are all rolled back. */

import pg from "pg";

import { type Database, type Row, type Session, pgDatabase } from "../src/database.js";

export const pool = new pg.Pool({ max: 5 });
export const database = pgDatabase(pool);

/** Runs `work` on a database whose transactions are savepoints of one that is rolled back. */
export async function rolledBack<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  const session = (inTransaction: boolean): Session => ({
    inTransaction,
    query: async (text, values = []) => (await client.query<Row>(text, [...values])).rows,
  });
  try {
    await client.query("BEGIN");
    return await work({
      ...session(false),
      async transaction(inner) {
        await client.query("SAVEPOINT inner_one");
        try {
          const result = await inner(session(true));
          await client.query("RELEASE SAVEPOINT inner_one");
          return result;
        } catch (error) {
          await client.query("ROLLBACK TO SAVEPOINT inner_one");
          throw error;
        }
      },
    });
  } finally {
    await client.query("ROLLBACK");
    client.release();
  }
}

/** The number that a query counts. */
export async function count(session: Session, text: string, ...values: unknown[]): Promise<number> {
  return Number((await session.query(text, values))[0]?.["count"]);
}
