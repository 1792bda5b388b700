/** Which values can be a reference at all; the others never reach the database. */

import type { KeyType, Nullable, ParentKey } from "./parents.js";

export const NO_VALUE = "no value";
export const WRONG_TYPE = "not of the column's type";
export const SOME_VALUES = "a value for some of its columns only";
export const NO_ROW = "no such row";

/** A text for each column, or why the value is no reference; neither where it refers to nothing. */
export interface Key {
  texts?: readonly string[];
  fault?: string;
}

/** The value of one column as text for the server, or why it is none. */
type Part = { text: string; fault?: never } | { text?: never; fault: string };

// as PostgreSQL reads them: with or without braces, a hyphen after any group of four digits
const UUID = /^(?:(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}|\{(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}\})$/i;
const INTEGER = /^\s*[+-]?[0-9]{1,40}\s*$/;

/** `value` as a key of `parent`: a list of values where the key has several columns. */
export function keyOf(value: unknown, { types }: ParentKey, of: Nullable, listed: boolean): Key {
  if (value === null || value === undefined) {
    return of.optional ? {} : { fault: NO_VALUE };
  }
  const values: readonly unknown[] = !listed ? [value] : Array.isArray(value) ? value : [];
  if (values.length !== types.length) {
    return { fault: WRONG_TYPE };
  }
  const nulls = values.filter((part) => part === null || part === undefined).length;
  if (nulls > 0 && nulls < types.length && of.match === "full") {
    return { fault: SOME_VALUES };
  }
  if (nulls > 0) {
    return of.optional ? {} : { fault: NO_VALUE };
  }
  const parts = values.map((part, place) => partOf(part, types[place]!));
  const faults = parts.flatMap(({ fault }) => fault ?? []);
  const [fault] = [NO_VALUE, WRONG_TYPE, NO_ROW].filter((one) => faults.includes(one));
  return fault === undefined ? { texts: parts.flatMap(({ text }) => text ?? []) } : { fault };
}

function partOf(value: unknown, column: KeyType): Part {
  if (value === null || value === undefined) {
    return { fault: NO_VALUE };
  }
  if (typeof value === "bigint" || Number.isSafeInteger(value)) {
    const number = BigInt(value as number | bigint);
    if (column.kind !== "integer") {
      return { fault: WRONG_TYPE };
    }
    return fits(number, column) ? { text: `${number}` } : { fault: NO_ROW };
  }
  // half a surrogate pair would be sent as another character
  if (typeof value !== "string" || !value.isWellFormed() || value.includes("\0")) {
    return { fault: WRONG_TYPE };
  }
  return value.trim() === "" ? { fault: NO_VALUE } : textOf(value, column);
}

function textOf(value: string, column: KeyType): Part {
  switch (column.kind) {
    case "uuid":
      return UUID.test(value) ? { text: value } : { fault: WRONG_TYPE };
    case "integer": {
      const fit = INTEGER.test(value) && fits(BigInt(value.replace("+", "")), column);
      return fit ? { text: value.trim() } : { fault: WRONG_TYPE };
    }
    case "text":
      return { text: value };
  }
}

function fits(number: bigint, { bits }: KeyType): boolean {
  const edge = 1n << (bits - 1n);
  return -edge <= number && number < edge;
}
