/**
 * A foreign key's refusal as the error of the check, so that callers see no difference.
 *
 * The server's language does not matter: of its messages only names are used, and what stands in
 * the two groups of `(columns)=(values)`, which are the same in every language.
 */

import type { Row, Session } from "./database.js";
import { InvalidReferenceError, StillReferencedError } from "./error.js";

const FOREIGN_KEY_VIOLATION = "23503";
const RESTRICT_VIOLATION = "23001"; // PostgreSQL 18 has it for ON DELETE RESTRICT

/** What PostgreSQL says with an error; pg has it on its DatabaseError. */
export interface Diagnostics {
  code: string;
  schema: string;
  table: string;
  constraint: string;
  message: string;
  detail: string;
}

/** The child's columns, and the parent with its columns in the same order. */
interface ForeignKey {
  columns: readonly string[];
  references: readonly string[];
  schema: string;
  parent: string;
}

// of a key of a partition the parent, which is the table that people know, is the same
const KEY = `
  SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.place) AS columns,
         pg_catalog.array_agg(b.attname::pg_catalog.text ORDER BY k.place) AS references,
         s.nspname AS schema, p.relname AS parent
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    JOIN pg_catalog.pg_class AS p ON p.oid = c.confrelid
    JOIN pg_catalog.pg_namespace AS s ON s.oid = p.relnamespace
    JOIN unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (child, parent, place) ON true
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.child
    JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = k.parent
   WHERE c.contype = 'f' AND n.nspname = $1 AND t.relname = $2 AND c.conname = $3
   GROUP BY s.nspname, p.relname
`;

/** What the server said, or undefined for any other error. */
export function diagnostics(error: unknown): Diagnostics | undefined {
  if (!(error instanceof Error)) {
    return undefined;
  }
  const { code, schema, table, constraint, detail = "" } = error as Partial<Diagnostics>;
  const refused = code === FOREIGN_KEY_VIOLATION || code === RESTRICT_VIOLATION;
  if (!refused || !schema || !table || !constraint) {
    return undefined; // such as one that a function of the application's own raised
  }
  return { code, schema, table, constraint, message: error.message, detail };
}

/**
 * The refusal as InvalidReferenceError or StillReferencedError; any other error as it was.
 *
 * `session` is one outside the transaction that failed: it is asked for the key's columns and
 * parent. The value is null where the role may not read it.
 */
export async function translated(session: Session, error: unknown): Promise<unknown> {
  const said = diagnostics(error);
  const rows = said && (await session.query(KEY, [said.schema, said.table, said.constraint]));
  const row: Row | undefined = rows?.[0];
  if (!said || !row) {
    return error; // the key is no more
  }
  const key = row as unknown as ForeignKey;
  const deleted = isDelete(said, key);
  const value = valueOf(said, key, deleted);
  const translation = deleted
    ? new StillReferencedError(key.references, value, `${said.schema}.${said.table}`)
    : new InvalidReferenceError(key.columns, value, `${key.schema}.${key.parent}`);
  translation.cause = error;
  return translation;
}

/** The beginning of the two groups in a detail. */
function group(columns: readonly string[]): string {
  return `(${columns.join(", ")})=(`;
}

// around names: "a", »a«, « a », „a“, “a”, 「a」
const QUOTE = '["«»„“”‟「」『』]';

/** Whether a parent was to go, and not a child to come: then the detail has its columns. */
function isDelete(said: Diagnostics, { columns, references }: ForeignKey): boolean {
  if (said.code === RESTRICT_VIOLATION) {
    return true;
  }
  const ofChild = said.detail.indexOf(group(columns));
  const ofParent = said.detail.indexOf(group(references));
  if (ofChild !== ofParent) {
    return ofChild < 0 || (0 <= ofParent && ofParent < ofChild); // a value may look like columns
  }
  // the same names, or none where the role may not read the key: then the message names the parent
  // beside the child and the key, in any language
  const rest = [said.constraint, said.table].reduce(without, said.message);
  return new RegExp(`${QUOTE}.+${QUOTE}`, "su").test(rest);
}

/** What the detail has for the columns; null where the role may not read them. */
function valueOf(said: Diagnostics, key: ForeignKey, deleted: boolean): string | null {
  const { detail, table } = said;
  const start = group(deleted ? key.references : key.columns);
  const place = detail.indexOf(start);
  if (place < 0) {
    return null;
  }
  const [before, rest] = [detail.slice(0, place), detail.slice(place + start.length)];
  // the other table's name may have a parenthesis too; in some languages it comes before
  const other = deleted ? table : key.parent;
  const behind = other.includes(")") && !before.includes(other);
  const end = behind ? rest.lastIndexOf(other) : rest.length;
  return rest.slice(0, rest.lastIndexOf(")", end));
}

function without(text: string, name: string): string {
  const literal = name.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, "\\$&");
  return text.replace(new RegExp(`${QUOTE}\\s?${literal}\\s?${QUOTE}`, "u"), "");
}
