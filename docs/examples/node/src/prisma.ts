/** The database behind a Prisma client, for the same checks. */

import type { Database, Row, Session } from "./database.js";

/** What the checks need of Prisma's client; a transaction's client is one too. */
export interface RawQueries {
  $queryRawUnsafe<T>(text: string, ...values: unknown[]): Promise<T>;
}

export interface PrismaClientLike extends RawQueries {
  $transaction<T>(work: (client: RawQueries) => Promise<T>): Promise<T>;
}

// "unsafe" is the name of the call that takes text: here values are parameters all the same
function session(client: RawQueries, inTransaction: boolean): Session {
  return {
    inTransaction,
    query: (text, values = []) => client.$queryRawUnsafe<Row[]>(text, ...values),
  };
}

/** The database behind a Prisma client. */
export function prismaDatabase(client: PrismaClientLike): Database {
  return {
    ...session(client, false),
    transaction: (work) => client.$transaction((own) => work(session(own, true))),
  };
}
