/** The tables that are referred to: their names as SQL, and the types of their keys. */

import pg from "pg";

import type { Session } from "./database.js";
import { UsageError, shown } from "./error.js";

const LONGEST_NAME = 63; // bytes; PostgreSQL cuts a longer identifier, and it names another table

/** A key column that others refer to; without a schema the search path decides. */
export interface Parent {
  table: string;
  idColumn?: string;
}

/** The table or column is none of those that the application declared. */
export class UnknownParentError extends UsageError {
  override readonly name: string = "UnknownParentError";
}

/** A parent as SQL, quoted; `label` is for people and names it once. */
export interface Quoted {
  label: string;
  table: string;
  column: string;
}

/** What the values of a key column are: it says which of them can be one at all. */
export type Kind = "uuid" | "integer" | "text";

/** A parent with its key's type, which is SQL too; `bits` is the size of an integer. */
export interface KeyColumn extends Quoted {
  type: string;
  kind: Kind;
  bits: bigint;
}

const KINDS: Readonly<Record<string, [Kind, bigint]>> = {
  bpchar: ["text", 0n],
  citext: ["text", 0n],
  int2: ["integer", 16n],
  int4: ["integer", 32n],
  int8: ["integer", 64n],
  text: ["text", 0n],
  uuid: ["uuid", 0n],
  varchar: ["text", 0n],
};

function isName(name: string): boolean {
  return name !== "" && !name.includes("\0") && Buffer.byteLength(name) <= LONGEST_NAME;
}

/** The parent as SQL; throws UsageError for names that cannot be identifiers. */
export function quoted({ table, idColumn = "id" }: Parent): Quoted {
  const parts = table.split(".");
  if (parts.length > 2 || !parts.every(isName)) {
    throw new UsageError(`expected a table or schema.table, got ${shown(table)}`);
  }
  if (!isName(idColumn)) {
    throw new UsageError(`expected a column, got ${shown(idColumn)}`);
  }
  return {
    label: `${table}(${idColumn})`,
    table: parts.map((part) => pg.escapeIdentifier(part)).join("."),
    column: pg.escapeIdentifier(idColumn),
  };
}

/** Refuses a parent that is none of `declared`; undefined allows every table. */
export function allow({ label }: Quoted, declared: readonly string[] | undefined): void {
  if (declared !== undefined && !declared.includes(label)) {
    throw new UnknownParentError(
      `expected a declared parent, got ${shown(label)}; declared are ${declared.join(", ")}`,
    );
  }
}

/** The types of the parents' keys, in one round trip; the server's error where one is none. */
export async function readTypes(
  session: Session,
  parents: readonly Quoted[],
): Promise<KeyColumn[]> {
  const types = parents.map(
    ({ table, column }) => `pg_typeof((SELECT p.${column} FROM ${table} AS p LIMIT 0))::oid`,
  );
  // without its length: as an array of character every value would be cut to one
  const rows = await session.query(
    `SELECT t.typname AS name, format_type(t.oid, -1) AS type
       FROM unnest(ARRAY[${types.join(", ")}]) WITH ORDINALITY AS w (type, place)
       JOIN pg_catalog.pg_type AS d ON d.oid = w.type
       JOIN pg_catalog.pg_type AS t
         ON t.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
      ORDER BY w.place`,
  );
  return parents.map((parent, place) => {
    const { name, type } = rows[place] ?? {};
    const [kind, bits] = KINDS[String(name)] ?? [];
    if (kind === undefined || bits === undefined) {
      throw new UsageError(
        `expected a key of type uuid, integer or text, got ${type} of ${parent.label}`,
      );
    }
    return { ...parent, type: String(type), kind, bits };
  });
}
