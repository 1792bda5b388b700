/** The tables that are referred to: their names as SQL, and the types of their keys. */

import pg from "pg";

import type { Session } from "./database.js";
import { UsageError, shown } from "./error.js";

const MOST_COLUMNS = 32; // a foreign key of PostgreSQL has no more
const LONGEST_NAME = 63; // bytes; PostgreSQL cuts a longer identifier, and it names another table

/**
 * A key that others refer to; without a schema the search path decides.
 *
 * Where several columns are the key, `idColumn` lists them.
 */
export interface Parent {
  table: string;
  idColumn?: string | readonly string[];
}

/**
 * Whether a reference may be null; of several fields `match` says as PostgreSQL does what null
 * means: "simple", one null is enough to refer to nothing; "full", all of them or none.
 */
export interface Nullable {
  optional?: boolean;
  match?: "simple" | "full";
}

/** The table or column is none of those that the application declared. */
export class UnknownParentError extends UsageError {
  override readonly name: string = "UnknownParentError";
}

/** A parent as SQL, quoted; `label` is for people and names it once. */
export interface Quoted {
  label: string;
  table: string;
  columns: readonly string[];
}

/** What the values of a key column are: it says which of them can be one at all. */
export type Kind = "uuid" | "integer" | "text";

/** The type of a key column, which is SQL too; `bits` is the size of an integer. */
export interface KeyType {
  type: string;
  kind: Kind;
  bits: bigint;
}

/** A parent with the types of its key's columns. */
export interface ParentKey extends Quoted {
  types: readonly KeyType[];
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
  const columns = [idColumn].flat();
  for (const column of columns) {
    if (!isName(column)) {
      throw new UsageError(`expected a column, got ${shown(column)}`);
    }
  }
  if (new Set(columns).size < columns.length || !columns.length || columns.length > MOST_COLUMNS) {
    throw new UsageError(
      `expected 1 to ${MOST_COLUMNS} different columns, got ${shown(columns.join(", "))}`,
    );
  }
  return {
    label: `${table}(${columns.join(", ")})`,
    table: parts.map((part) => pg.escapeIdentifier(part)).join("."),
    columns: columns.map((column) => pg.escapeIdentifier(column)),
  };
}

/** Refuses fields that are not as many as the key's columns, and a match that is none. */
export function checkFields(fields: readonly string[], of: Parent & Nullable): void {
  const { table, idColumn = "id", match = "simple" } = of;
  const columns = [idColumn].flat();
  if (fields.length !== columns.length) {
    throw new UsageError(
      `expected a field for each column of ${table}(${columns.join(", ")}),` +
        ` got ${shown(fields.join(", "))}`,
    );
  }
  if (match !== "simple" && match !== "full") {
    throw new UsageError(`expected 'simple' or 'full' as the match, got ${shown(match)}`);
  }
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
): Promise<ParentKey[]> {
  const types = parents.flatMap(({ table, columns }) =>
    columns.map((column) => `pg_typeof((SELECT p.${column} FROM ${table} AS p LIMIT 0))::oid`),
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
  const read = rows.values();
  return parents.map((parent) => ({
    ...parent,
    types: parent.columns.map(() => {
      const { name, type } = read.next().value ?? {};
      const [kind, bits] = KINDS[String(name)] ?? [];
      if (kind === undefined || bits === undefined) {
        throw new UsageError(
          `expected a key of type uuid, integer or text, got ${type} of ${parent.label}`,
        );
      }
      return { type: String(type), kind, bits };
    }),
  }));
}
