/** Asks whether the rows that references name exist: all of them in one round trip. */

import type { Cache } from "./cache.js";
import type { Session } from "./database.js";
import { InvalidReferenceError, UsageError } from "./error.js";
import { Lookups } from "./lookup.js";
import type { Metrics } from "./metrics.js";
import { type KeyColumn, type Parent, allow, quoted, readTypes } from "./parents.js";
import { NO_ROW, keyOf } from "./values.js";

export const MOST_REFERENCES = 1000; // distinct ones a call

/** A value of `field` that should be the `idColumn` of a row of `table`. */
export interface Reference extends Parent {
  field: string;
  value: unknown;
}

/** An error for each reference that failed, in their order. */
export interface Validation {
  valid: boolean;
  errors: InvalidReferenceError[];
}

export interface Options {
  /**
   * Lock every row that is found FOR KEY SHARE: until the transaction ends nobody can delete it or
   * change its key. Needs a transaction, and the right to UPDATE the parent tables.
   */
  lock?: boolean;
}

export interface Settings {
  /** The parents that may be asked for; without them every table may. */
  declared?: readonly Parent[];
  metrics?: Metrics;
  /** What was found before; never asked where a lock is wanted. */
  cache?: Cache;
}

/** Checks of references in one database. The types of keys are read once, and kept. */
export class References {
  readonly metrics: Metrics | undefined;
  private readonly cache: Cache | undefined;
  private readonly declared: readonly string[] | undefined;
  private readonly types = new Map<string, KeyColumn>();

  constructor({ declared, metrics, cache }: Settings = {}) {
    this.cache = cache;
    this.declared = declared?.map((parent) => quoted(parent).label);
    this.metrics = metrics;
  }

  /** Whether `table` has a row whose `idColumn` is `id`; throws for a value that cannot be one. */
  async referenceExists(
    session: Session,
    table: string,
    id: unknown,
    idColumn: string = "id",
    options: Options = {},
  ): Promise<boolean> {
    const reference = { field: idColumn, value: id, table, idColumn };
    const [error] = (await this.validateReferences(session, [reference], options)).errors;
    if (error !== undefined && error.reason !== NO_ROW) {
      throw error;
    }
    return error === undefined;
  }

  /** Look up all references in one round trip, whatever the number of tables. */
  async validateReferences(
    session: Session,
    references: readonly Reference[],
    { lock = false }: Options = {},
  ): Promise<Validation> {
    needTransaction(session, lock);
    atMost(references);
    const columns = await this.keyColumns(session, references);
    const lookups = references.map(({ value }, place) => {
      const column = columns[place]!;
      return { column, key: keyOf(value, column) };
    });
    const known = lookups.map(
      ({ column: { label }, key: { text } }) =>
        !lock && text !== undefined && this.cache?.knows(label, text),
    );
    const missing = await new Lookups(lookups, known).missing(session, lock);
    const errors = references.flatMap(({ field, value, table }, place) => {
      const { column, key } = lookups[place]!;
      const fault = key.fault ?? (missing[place] ? NO_ROW : undefined);
      this.metrics?.count(table, fault);
      if (fault === undefined && key.text !== undefined && !known[place]) {
        this.cache?.add(column.label, key.text);
      }
      return fault === undefined ? [] : [new InvalidReferenceError(field, value, table, fault)];
    });
    return { valid: errors.length === 0, errors };
  }

  /** The key column of each parent; a round trip more where one is asked for the first time. */
  async keyColumns(session: Session, parents: readonly Parent[]): Promise<KeyColumn[]> {
    const names = parents.map((parent) => quoted(parent));
    names.forEach((name) => allow(name, this.declared));
    const unread = new Map(names.map((name) => [name.label, name]));
    this.types.forEach((_, label) => unread.delete(label));
    if (unread.size > 0) {
      const read = await readTypes(session, [...unread.values()]);
      read.forEach((column) => this.types.set(column.label, column));
    }
    return names.map(({ label }) => this.types.get(label)!);
  }
}

/** Refuses a lock outside a transaction, where it would end at once. */
export function needTransaction(session: Session, lock: boolean): void {
  if (lock && !session.inTransaction) {
    throw new UsageError(
      "lock needs a transaction, got a session outside of one; call it inside transaction()",
    );
  }
}

function atMost(references: readonly Reference[]): void {
  const distinct = new Map<string, Set<unknown>>();
  let count = 0;
  for (const { table, idColumn = "id", value } of references) {
    const label = `${table}(${idColumn})`;
    const values = distinct.get(label) ?? new Set();
    distinct.set(label, values);
    count += values.has(value) ? 0 : 1;
    values.add(value);
    if (count > MOST_REFERENCES) {
      throw new UsageError(
        `expected at most ${MOST_REFERENCES.toLocaleString("en-US")} distinct references, got more;` +
          " give them to the batch validator",
      );
    }
  }
}
