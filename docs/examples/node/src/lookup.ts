/** One statement for many lookups: which of the rows that they name do not exist. */

import type { Session } from "./database.js";
import type { KeyColumn } from "./parents.js";
import type { Key } from "./values.js";

/** A row to look for, or why its value names none. */
export interface Lookup {
  column: KeyColumn;
  key: Key;
}

/** The distinct values to look for in one key column. */
interface Search {
  column: KeyColumn;
  values: Map<string, number>; // each with its number, which the answer names
}

/** The distinct rows to look for, and for each lookup the number of its row. */
export class Lookups {
  private readonly searches = new Map<KeyColumn, Search>();
  private readonly numbers: (number | undefined)[] = [];
  private distinct = 0;

  /** `known` has the places of lookups whose row needs no search. */
  constructor(lookups: readonly Lookup[], known: readonly (boolean | undefined)[] = []) {
    lookups.forEach(({ column, key: { text } }, place) => {
      this.numbers.push(text === undefined || known[place] ? undefined : this.number(column, text));
    });
  }

  private number(column: KeyColumn, text: string): number {
    let search = this.searches.get(column);
    if (search === undefined) {
      search = { column, values: new Map() };
      this.searches.set(column, search);
    }
    let number = search.values.get(text);
    if (number === undefined) {
      number = this.distinct++;
      search.values.set(text, number);
    }
    return number;
  }

  /** Whether the row of each lookup is missing; one round trip, or none for nothing. */
  async missing(session: Session, lock: boolean): Promise<boolean[]> {
    const searches = [...this.searches.values()];
    const values = searches.flatMap((search) => [
      [...search.values.values()],
      [...search.values.keys()],
    ]);
    const rows = searches.length === 0 ? [] : await session.query(sql(searches, lock), values);
    const missing = new Set(rows.map((row) => Number(row["number"])));
    return this.numbers.map((number) => number !== undefined && missing.has(number));
  }
}

/** $1 and $2 are numbers and values of the first key column, $3 and $4 of the second. */
function sql(searches: readonly Search[], lock: boolean): string {
  const strength = lock ? " FOR KEY SHARE" : "";
  const parts = searches.map(({ column: { table, column, type } }, place) => {
    const [numbers, values] = [`$${2 * place + 1}::integer[]`, `$${2 * place + 2}::${type}[]`];
    return (
      `SELECT w.number FROM unnest(${numbers}, ${values}) AS w (number, value)` +
      ` WHERE NOT EXISTS (SELECT FROM ${table} AS p WHERE p.${column} = w.value${strength})`
    );
  });
  return parts.join(" UNION ALL ");
}
