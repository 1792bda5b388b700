/** Asks whether the rows that references name exist: all of them in one round trip. */

import type { Cache } from "./cache.js";
import type { Session } from "./database.js";
import { InvalidReferenceError, UsageError } from "./error.js";
import { Lookups, joined } from "./lookup.js";
import type { Metrics } from "./metrics.js";
import {
  type Nullable,
  type Parent,
  type ParentKey,
  allow,
  checkFields,
  quoted,
  readTypes,
} from "./parents.js";
import { NO_ROW, keyOf } from "./values.js";

export const MOST_REFERENCES = 1000; // distinct ones a call

/**
 * A value of `field` that should be the `idColumn` of a row of `table`.
 *
 * Where several columns are the key, `field`, `value` and `idColumn` are lists in the same order.
 */
export interface Reference extends Parent, Nullable {
  field: string | readonly string[];
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
  private readonly types = new Map<string, ParentKey>();

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
    idColumn: string | readonly string[] = "id",
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
    references.forEach((reference) => {
      const { field, idColumn = "id" } = reference;
      checkFields([typeof field === "string" ? idColumn : field].flat(), reference);
    });
    const parents = await this.parentKeys(session, references);
    const lookups = references.map((reference, place) => {
      const { value, idColumn } = reference;
      const parent = parents[place]!;
      return { parent, key: keyOf(value, parent, reference, Array.isArray(idColumn)) };
    });
    const known = lookups.map(
      ({ parent: { label }, key: { texts } }) =>
        !lock && texts !== undefined && this.cache?.knows(label, joined(texts)),
    );
    const missing = await new Lookups(lookups, known).missing(session, lock);
    const errors = references.flatMap(({ field, value, table }, place) => {
      const { parent, key } = lookups[place]!;
      const fault = key.fault ?? (missing[place] ? NO_ROW : undefined);
      if (fault === undefined && key.texts === undefined) {
        return []; // it refers to nothing
      }
      this.metrics?.count(table, fault);
      if (key.texts !== undefined && fault === undefined && !known[place]) {
        this.cache?.add(parent.label, joined(key.texts));
      }
      return fault === undefined ? [] : [new InvalidReferenceError(field, value, table, fault)];
    });
    return { valid: errors.length === 0, errors };
  }

  /** The key of each parent; a round trip more where one is asked for the first time. */
  async parentKeys(session: Session, parents: readonly Parent[]): Promise<ParentKey[]> {
    const names = parents.map((parent) => quoted(parent));
    names.forEach((name) => allow(name, this.declared));
    const unread = new Map(names.map((name) => [name.label, name]));
    this.types.forEach((_, label) => unread.delete(label));
    if (unread.size > 0) {
      const read = await readTypes(session, [...unread.values()]);
      read.forEach((key) => this.types.set(key.label, key));
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
    const label = `${table}(${[idColumn].flat().join(", ")})`;
    const values = distinct.get(label) ?? new Set();
    distinct.set(label, values);
    const one: unknown = Array.isArray(value) ? joined(value.map(String)) : value;
    count += values.has(one) ? 0 : 1;
    values.add(one);
    if (count > MOST_REFERENCES) {
      throw new UsageError(
        `expected at most ${MOST_REFERENCES.toLocaleString("en-US")} distinct references, got more;` +
          " give them to the batch validator",
      );
    }
  }
}
