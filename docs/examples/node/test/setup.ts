/** Makes what the cases ask for, in the empty database that PGHOST, PGDATABASE and so on name. */

import { readFileSync } from "node:fs";

import pg from "pg";

import { ROOT, table } from "./table.js";

export async function setup(): Promise<void> {
  const client = new pg.Client();
  await client.connect();
  try {
    for (const { files, statements } of Object.values(table.databases)) {
      for (const file of files) {
        await client.query(readFileSync(new URL(file, ROOT), "utf-8"));
      }
      for (const statement of statements) {
        await client.query(statement);
      }
    }
  } finally {
    await client.end();
  }
}
