/** What the checks need of a driver: send a statement with its values, and open a transaction. */

import type { ClientBase, Pool } from "pg";

export type Row = Record<string, unknown>;

/** Sends one statement; `values` are its parameters $1, $2 and so on. */
export interface Session {
  /** Whether the statements belong to a transaction, so that a lock lasts longer than one. */
  readonly inTransaction: boolean;
  query(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A session outside a transaction, and transactions of it. */
export interface Database extends Session {
  /** Commits what `work` did, or rolls all of it back when it throws. */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>;
}

function session(client: ClientBase | Pool, inTransaction: boolean): Session {
  return {
    inTransaction,
    async query(text, values = []) {
      return (await client.query<Row>(text, [...values])).rows;
    },
  };
}

/** The database behind a pool of pg. */
export function pgDatabase(pool: Pool): Database {
  return {
    ...session(pool, false),
    async transaction(work) {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query("BEGIN");
        const result = await work(session(client, true));
        // a COMMIT after an error that somebody caught rolls back, and says so in its tag alone
        const { command } = await client.query("COMMIT");
        if (command !== "COMMIT") {
          throw new Error(
            `expected COMMIT, got ${command}: a statement failed, and its error was caught`,
          );
        }
        return result;
      } catch (error) {
        await client.query("ROLLBACK").catch((failed: Error) => {
          broken = failed;
        });
        throw error;
      } finally {
        client.release(broken); // a connection that cannot roll back leaves the pool
      }
    },
  };
}
