/** A foreign key's refusal as the error of the check, so that callers see no difference. */

import type { Session } from "./database.js";
import { InvalidReferenceError, StillReferencedError } from "./error.js";

const FOREIGN_KEY_VIOLATION = "23503";
const RESTRICT_VIOLATION = "23001"; // PostgreSQL 18 has it for ON DELETE RESTRICT

/** What PostgreSQL says with an error; pg has it on its DatabaseError. */
export interface Diagnostics {
  code: string;
  schema: string;
  table: string;
  constraint: string;
  detail: string;
}

// of a key of a partition the parent, which is the table that people know, is the same
const KEY = `
  SELECT array_agg(a.attname::text ORDER BY k.place) AS child_columns,
         array_agg(b.attname::text ORDER BY k.place) AS parent_columns, p.relname AS parent
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid
    JOIN pg_catalog.pg_class AS p ON p.oid = c.confrelid
    JOIN unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (child, parent, place) ON true
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.child
    JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = k.parent
   WHERE c.contype = 'f' AND c.conname = $3 AND t.relname = $2
     AND t.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1)
   GROUP BY p.relname
`;
// in every language of the server's messages: (columns)=(values) and then the other table's name
const DETAIL = /\((?<columns>.+?)\)=\((?<values>.*)\)(?<rest>.*)$/su;

/** What the server said, or undefined for any other error. */
export function diagnostics(error: unknown): Diagnostics | undefined {
  if (!(error instanceof Error)) {
    return undefined;
  }
  const { code, schema, table, constraint, detail = "" } = error as Partial<Diagnostics>;
  const refused = code === FOREIGN_KEY_VIOLATION || code === RESTRICT_VIOLATION;
  if (!refused || !schema || !table || !constraint) {
    return undefined;
  }
  return { code, schema, table, constraint, detail };
}

/**
 * The refusal as InvalidReferenceError or StillReferencedError; any other error as it was.
 *
 * `session` is one outside the transaction that failed: it is asked for the key's columns.
 */
export async function translated(session: Session, error: unknown): Promise<unknown> {
  const said = diagnostics(error);
  const key = said && (await session.query(KEY, [said.schema, said.table, said.constraint]))[0];
  const found = said && DETAIL.exec(said.detail)?.groups;
  if (!said || !key || !found) {
    return error; // the detail is absent where the role may not read the columns
  }
  const { columns = "", values = "", rest = "" } = found;
  const [parent, child] = [String(key["parent"]), said.table];
  const names = (of: string): string => (key[of] as string[]).join(", ");
  const ofChild = columns === names("child_columns");
  const ofParent = columns === names("parent_columns");
  let translation: InvalidReferenceError | undefined;
  if (ofChild && (!ofParent || (mentions(rest, parent) && !mentions(rest, child)))) {
    translation = new InvalidReferenceError(columns, values, parent);
  } else if (ofParent && (!ofChild || (mentions(rest, child) && !mentions(rest, parent)))) {
    translation = new StillReferencedError(columns, values, `${said.schema}.${child}`);
  }
  if (translation === undefined) {
    return error;
  }
  translation.cause = error;
  return translation;
}

/** Whether the text has the name as a word of its own, whatever quotes are around it. */
function mentions(text: string, name: string): boolean {
  const place = text.indexOf(name);
  const around = [text.slice(0, place).at(-1) ?? "", text.slice(place + name.length).at(0) ?? ""];
  return place >= 0 && !around.some((character) => /[\p{L}\p{N}_]/u.test(character));
}
