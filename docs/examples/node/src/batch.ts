/** Many records before an import: an error for each index and field, in constant memory. */

import type { Session } from "./database.js";
import { InvalidReferenceError, UsageError, shown } from "./error.js";
import { type Lookup, Lookups } from "./lookup.js";
import { type Nullable, type Parent, type ParentKey, checkFields } from "./parents.js";
import { type References, needTransaction } from "./references.js";
import { NO_ROW, keyOf } from "./values.js";

/**
 * The parent of a field; an optional one may be null or absent.
 *
 * `fields` has several fields that are one reference, in the order of `idColumn`.
 */
export interface BatchParent extends Parent, Nullable {
  fields?: readonly string[];
}

/** The record at `index`, counted from 0, and what is wrong with one of its fields. */
export interface BatchError {
  index: number;
  error: InvalidReferenceError;
}

/** How many records were checked, how many errors there were, and the first of them. */
export interface BatchValidation {
  valid: boolean;
  checked: number;
  failed: number;
  errors: BatchError[];
}

export interface BatchOptions {
  /** Records a statement; 10,000 where nothing is said. */
  chunk?: number;
  /** Lock the rows that are found, as validateReferences does; it needs a transaction. */
  lock?: boolean;
  /** Errors that are kept; the others are counted. 1,000 where nothing is said. */
  mostErrors?: number;
}

/** A field to check, or several that are one reference. */
interface Field {
  names: readonly string[];
  parent: BatchParent;
  key: ParentKey;
}

/** A record's fields that are to be looked up, in the order of the parents. */
interface Place {
  index: number;
  field: Field;
  value: unknown;
}

/** Look up all records' references: one round trip for each chunk, whatever the fields. */
export async function validateBatchReferences(
  references: References,
  session: Session,
  records: Iterable<unknown> | AsyncIterable<unknown>,
  parents: Readonly<Record<string, BatchParent>>,
  { chunk = 10_000, lock = false, mostErrors = 1000 }: BatchOptions = {},
): Promise<BatchValidation> {
  const named = Object.entries(parents);
  if (named.length === 0) {
    throw new UsageError("expected a parent for at least one field, got none");
  }
  if (!Number.isSafeInteger(chunk) || chunk < 1) {
    throw new UsageError(`expected a chunk of at least 1 record, got ${chunk}`);
  }
  needTransaction(session, lock);
  named.forEach(([name, parent]) => checkFields(parent.fields ?? [name], parent));
  const keys = await references.parentKeys(
    session,
    named.map(([, parent]) => parent),
  );
  const fields = named.map(([name, parent], place) => ({
    names: parent.fields ?? [name],
    parent,
    key: keys[place]!,
  }));
  const result: BatchValidation = { valid: true, checked: 0, failed: 0, errors: [] };
  for await (const places of chunks(records, fields, chunk, result)) {
    for (const { index, error } of await faults(references, session, places, lock)) {
      result.failed += 1;
      if (result.errors.length < mostErrors) {
        result.errors.push({ index, error });
      }
    }
  }
  result.valid = result.failed === 0;
  return result;
}

/** The places of each chunk of records; `result.checked` counts the records. */
async function* chunks(
  records: Iterable<unknown> | AsyncIterable<unknown>,
  fields: readonly Field[],
  chunk: number,
  result: BatchValidation,
): AsyncGenerator<Place[]> {
  let places: Place[] = [];
  for await (const record of records) {
    const index = result.checked++;
    if (typeof record !== "object" || record === null || Array.isArray(record)) {
      throw new UsageError(`expected a record with fields at index ${index}, got ${shown(record)}`);
    }
    for (const field of fields) {
      places.push({ index, field, value: valueOf(record as Values, field) });
    }
    if (result.checked % chunk === 0) {
      yield places;
      places = [];
    }
  }
  yield places;
}

type Values = Record<string, unknown>;

function valueOf(record: Values, { names, parent: { idColumn } }: Field): unknown {
  // its own fields alone: every object has inherited ones
  const values = names.map((name) => (Object.hasOwn(record, name) ? record[name] : null));
  return Array.isArray(idColumn) ? values : values[0];
}

async function faults(
  references: References,
  session: Session,
  places: readonly Place[],
  lock: boolean,
): Promise<BatchError[]> {
  const lookups: Lookup[] = places.map(({ field: { key, parent }, value }) => ({
    parent: key,
    key: keyOf(value, key, parent, Array.isArray(parent.idColumn)),
  }));
  const missing = await new Lookups(lookups).missing(session, lock);
  return places.flatMap(({ index, field: { names, parent }, value }, place) => {
    const { fault: unfit, texts } = lookups[place]!.key;
    const fault = unfit ?? (missing[place] ? NO_ROW : undefined);
    if (fault === undefined && texts === undefined) {
      return []; // it refers to nothing
    }
    references.metrics?.count(parent.table, fault);
    if (fault === undefined) {
      return [];
    }
    return [{ index, error: new InvalidReferenceError(names, value, parent.table, fault) }];
  });
}
