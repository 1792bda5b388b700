/** The errors that faulty references become; both are ready for a JSON body. */

const LONGEST = 100; // characters of a value that are shown; it may come from anybody

/** The call is wrong: a fault of the program, found before any SQL. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** The JSON body of an InvalidReferenceError. */
export interface InvalidReferenceBody {
  error: "invalid_reference" | "still_referenced";
  field: string;
  value: string | null;
  table: string;
  reason: string;
  message: string;
}

/**
 * The value of `field` is no reference to a row of `table`; `reason` says why.
 *
 * Where several fields are the reference, `fields` has them one by one and `field` joined.
 * Not named like JavaScript's own ReferenceError, which is about variables.
 */
export class InvalidReferenceError extends Error {
  override readonly name: string = "InvalidReferenceError";
  readonly code: InvalidReferenceBody["error"] = "invalid_reference";
  readonly field: string;
  readonly fields: readonly string[];
  readonly value: unknown;
  readonly table: string;
  readonly reason: string;

  constructor(
    field: string | readonly string[],
    value: unknown,
    table: string,
    reason: string = "no such row",
    expected: string = `a reference to ${table}`,
  ) {
    const fields = [field].flat();
    const joined = fields.join(", ");
    super(`${joined}: expected ${expected}, got ${shown(asOne(fields, value))}: ${reason}`);
    this.field = joined;
    this.fields = fields;
    this.value = value;
    this.table = table;
    this.reason = reason;
  }

  /** What an HTTP handler answers with; JSON.stringify calls it. */
  toJSON(): InvalidReferenceBody {
    const { code, field, table, reason, message } = this;
    const value = asOne(this.fields, this.value);
    const text = value === null || value === undefined ? null : cut(plain(value));
    return { error: code, field, value: text, table, reason, message };
  }
}

/** The row of `field` cannot go: rows of `table` refer to it. */
export class StillReferencedError extends InvalidReferenceError {
  override readonly name: string = "StillReferencedError";
  override readonly code = "still_referenced";

  constructor(field: string | readonly string[], value: unknown, table: string) {
    super(field, value, table, "still referenced", `no reference from ${table}`);
  }
}

/** A request breaks a rule; `errors` has one entry for each field at fault. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly errors: readonly InvalidReferenceError[];

  constructor(errors: readonly InvalidReferenceError[]) {
    super(errors.map((error) => error.message).join("; "));
    this.errors = errors;
  }
}

/** The value; several of them as the server writes them. */
function asOne(fields: readonly string[], value: unknown): unknown {
  const several = fields.length > 1 && Array.isArray(value);
  return several ? value.map((part) => (part == null ? "null" : plain(part))).join(", ") : value;
}

/** A value as a message shows it: text in quotes, and cut where it is long. */
export function shown(value: unknown): string {
  if (typeof value !== "string") {
    return cut(value === null ? "null" : plain(value));
  }
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const hidden = /[\\\p{C}\p{Zl}\p{Zp}]/gu; // also half a surrogate pair, which is of C
  return cut(`${quote}${value.replace(hidden, escaped).replaceAll(quote, `\\${quote}`)}${quote}`);
}

const SHORT = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

function escaped(character: string): string {
  const digits = (character.codePointAt(0) ?? 0).toString(16);
  return SHORT.get(character) ?? `\\u{${digits}}`;
}

/** A value without quotes; what is no text is JSON, as the caller sent it. */
function plain(value: unknown): string {
  if (typeof value === "string") {
    return value;
  }
  return typeof value === "bigint" ? `${value}` : (JSON.stringify(value) ?? String(value));
}

function cut(text: string): string {
  const characters = text.length <= LONGEST ? [] : Array.from(text);
  if (characters.length <= LONGEST) {
    return text;
  }
  const count = characters.length.toLocaleString("en-US");
  return `${characters.slice(0, LONGEST).join("")}… (${count} characters)`;
}
