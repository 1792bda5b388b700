/** One statement for many lookups: which of the rows that they name do not exist. */

import type { Session } from "./database.js";
import type { ParentKey } from "./parents.js";
import type { Key } from "./values.js";

/** A row to look for, or why its value names none. */
export interface Lookup {
  parent: ParentKey;
  key: Key;
}

/** The distinct values to look for in one parent. */
interface Search {
  parent: ParentKey;
  numbers: Map<string, number>; // of the texts, which the answer names
  values: string[][]; // of each column
}

/** The texts of all columns as one; no text of PostgreSQL has a zero byte. */
export function joined(texts: readonly string[]): string {
  return texts.join("\0");
}

/** The distinct rows to look for, and for each lookup the number of its row. */
export class Lookups {
  private readonly searches = new Map<ParentKey, Search>();
  private readonly numbers: (number | undefined)[] = [];
  private distinct = 0;

  /** `known` has the places of lookups whose row needs no search. */
  constructor(lookups: readonly Lookup[], known: readonly (boolean | undefined)[] = []) {
    lookups.forEach(({ parent, key: { texts } }, place) => {
      const needless = texts === undefined || known[place];
      this.numbers.push(needless ? undefined : this.number(parent, texts));
    });
  }

  private number(parent: ParentKey, texts: readonly string[]): number {
    let search = this.searches.get(parent);
    if (search === undefined) {
      search = { parent, numbers: new Map(), values: parent.columns.map(() => []) };
      this.searches.set(parent, search);
    }
    const all = joined(texts);
    let number = search.numbers.get(all);
    if (number === undefined) {
      number = this.distinct++;
      search.numbers.set(all, number);
      search.values.forEach((column, place) => column.push(texts[place]!));
    }
    return number;
  }

  /** Whether the row of each lookup is missing; one round trip, or none for nothing. */
  async missing(session: Session, lock: boolean): Promise<boolean[]> {
    const searches = [...this.searches.values()];
    const values = searches.flatMap((search) => [
      [...search.numbers.values()],
      ...search.values,
    ]);
    const rows = searches.length === 0 ? [] : await session.query(sql(searches, lock), values);
    const missing = new Set(rows.map((row) => Number(row["number"])));
    return this.numbers.map((number) => number !== undefined && missing.has(number));
  }
}

/** $1 are the numbers and $2 the values of the first parent, or $2 and $3 of its two columns. */
function sql(searches: readonly Search[], lock: boolean): string {
  const strength = lock ? " FOR KEY SHARE" : "";
  let last = 0;
  const parts = searches.map(({ parent: { table, columns, types } }) => {
    const arrays = ["integer", ...types.map(({ type }) => type)].map(
      (type) => `$${++last}::${type}[]`,
    );
    const values = columns.map((_, place) => `value${place}`);
    const equal = columns.map((column, place) => `p.${column} = w.value${place}`).join(" AND ");
    return (
      `SELECT w.number FROM unnest(${arrays.join(", ")}) AS w (number, ${values.join(", ")})` +
      ` WHERE NOT EXISTS (SELECT FROM ${table} AS p WHERE ${equal}${strength})`
    );
  });
  return parts.join(" UNION ALL ");
}
