/** Which values can be a reference at all; the others never reach the database. */

import type { KeyColumn } from "./parents.js";

export const NO_VALUE = "no value";
export const WRONG_TYPE = "not of the column's type";
export const NO_ROW = "no such row";

/** The value as text for the server, or why it is no reference. */
export type Key = { text: string; fault?: never } | { text?: never; fault: string };

// as PostgreSQL reads them: with or without braces, a hyphen after any group of four digits
const UUID = /^(?:(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}|\{(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}\})$/i;
const INTEGER = /^\s*[+-]?[0-9]{1,40}\s*$/;

/** `value` as a key of `column`. */
export function keyOf(value: unknown, column: KeyColumn): Key {
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

function textOf(value: string, column: KeyColumn): Key {
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

function fits(number: bigint, { bits }: KeyColumn): boolean {
  const edge = 1n << (bits - 1n);
  return -edge <= number && number < edge;
}
