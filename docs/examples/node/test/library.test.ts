/** What the table of cases does not say: round trips, locks, cache, metrics, messages. */

import { readFileSync } from "node:fs";

import { afterAll, expect, test } from "vitest";

import { validateBatchReferences } from "../src/batch.js";
import { Cache } from "../src/cache.js";
import type { Session } from "../src/database.js";
import { InvalidReferenceError, shown } from "../src/error.js";
import { Metrics } from "../src/metrics.js";
import { References } from "../src/references.js";
import { translated } from "../src/refusal.js";
import { count, database, pool, rolledBack } from "./database.js";
import { ROOT } from "./table.js";

afterAll(() => pool.end());

const PRODUCTS = "shop.products";
const CUSTOMER = "7b0c1a52-0d4e-4f61-9a53-3c8f7c5b1a01";

/** A session that counts its statements. */
function counting(): Session & { asked: number } {
  return {
    inTransaction: false,
    asked: 0,
    query(text, values) {
      this.asked += 1;
      return database.query(text, values);
    },
  };
}

test("many references to many tables are one round trip, and one more the first time", async () => {
  const session = counting();
  const references = new References();
  const wanted = [
    { field: "a", value: "p-1", table: PRODUCTS },
    { field: "b", value: CUSTOMER, table: "shop.customers" },
    { field: "c", value: 7, table: "shop.shelves", idColumn: "number" },
  ];
  expect((await references.validateReferences(session, wanted)).valid).toBe(true);
  expect(session.asked).toBe(2);
  await references.validateReferences(session, wanted);
  expect(session.asked).toBe(3);
});

test("a batch is one round trip for each chunk", async () => {
  const session = counting();
  const references = new References();
  async function* records() {
    for (let number = 0; number < 25_000; number++) {
      yield { product_id: "p-1", customer_id: CUSTOMER };
    }
  }
  const found = await validateBatchReferences(references, session, records(), {
    product_id: { table: PRODUCTS },
    customer_id: { table: "shop.customers" },
  });
  expect(found).toEqual({ valid: true, checked: 25_000, failed: 0, errors: [] });
  expect(session.asked).toBe(1 + 3);
});

test("a batch with a lock needs a transaction, and keeps the rows", async () => {
  const references = new References();
  const parents = { product_id: { table: PRODUCTS } };
  const check = (session: Session) =>
    validateBatchReferences(references, session, [{ product_id: "p,1" }], parents, { lock: true });
  await expect(check(database)).rejects.toThrow(
    "lock needs a transaction, got a session outside of one; call it inside transaction()",
  );
  await database.transaction(async (session) => {
    expect((await check(session)).valid).toBe(true);
    const skipped = "SELECT count(*) FROM (SELECT FROM shop.products WHERE id = 'p,1' FOR UPDATE";
    expect(await count(database, `${skipped} SKIP LOCKED) AS p`)).toBe(0);
  });
});

test("a type that cannot be checked before is refused", async () => {
  await rolledBack(async (target) => {
    await target.query("CREATE TABLE shop.days (id date PRIMARY KEY)");
    const asked = new References().referenceExists(target, "shop.days", "2026-01-01");
    await expect(asked).rejects.toThrow(
      "expected a key of type uuid, integer or text, got date of shop.days(id)",
    );
  });
});

test.each([
  { type: "character(4)", row: "'ab'", there: "ab", missing: "abc" },
  { type: "varchar(2)", row: "'ab'", there: "ab", missing: "abc" },
  { type: "smallint", row: "7", there: "+7", missing: "8" },
  { type: "bigint", row: "9007199254740993", there: 2n ** 53n + 1n, missing: 2n ** 53n },
  { type: "shop_code", row: "'ab'", there: "ab", missing: "abc" },
])("a key of type $type", async ({ type, row, there, missing }) => {
  await rolledBack(async (target) => {
    await target.query("CREATE DOMAIN shop_code AS text CHECK (length(VALUE) = 2)");
    await target.query(`CREATE TABLE shop.typed (id ${type} PRIMARY KEY)`);
    await target.query(`INSERT INTO shop.typed VALUES (${row})`);
    const references = new References();
    expect(await references.referenceExists(target, "shop.typed", there)).toBe(true);
    expect(await references.referenceExists(target, "shop.typed", missing)).toBe(false);
  });
});

test("a lock keeps the row until the transaction ends", async () => {
  const other = await pool.connect();
  try {
    await database.transaction(async (session) => {
      const wanted = [{ field: "product_id", value: "p-1", table: PRODUCTS }];
      await new References().validateReferences(session, wanted, { lock: true });
      await other.query("SET lock_timeout = '100ms'");
      const update = "UPDATE shop.products SET ean = ean WHERE id = 'p-1'";
      expect((await other.query(update)).rowCount).toBe(1); // another column is not held up
      const gone = other.query("DELETE FROM shop.products WHERE id = 'p-1'");
      await expect(gone).rejects.toMatchObject({ code: "55P03" });
    });
  } finally {
    await other.query("RESET lock_timeout");
    other.release();
  }
});

test("an error that was caught does not pass for a commit", async () => {
  const outcome = database.transaction(async (session) => {
    await session.query("SELECT 1 / 0").catch(() => undefined);
  });
  await expect(outcome).rejects.toThrow(
    "expected COMMIT, got ROLLBACK: a statement failed, and its error was caught",
  );
});

test("what was found is remembered for its time, and what was not is asked for again", async () => {
  let now = 0;
  const session = counting();
  const cache = new Cache([{ table: PRODUCTS }], 2, 60, () => now);
  const references = new References({ cache });
  const asks = async (value: string, table: string = PRODUCTS): Promise<number> => {
    const before = session.asked;
    await references.referenceExists(session, table, value);
    return session.asked - before;
  };
  expect([await asks("p-1"), await asks("p-1"), await asks("p-1")]).toEqual([2, 0, 0]);
  expect([await asks("none"), await asks("none")]).toEqual([1, 1]);
  expect([await asks(CUSTOMER, "shop.customers"), await asks(CUSTOMER, "shop.customers")]).toEqual([
    2, 1,
  ]);
  now = 60_000;
  expect(await asks("p-1")).toBe(1);
  for (const value of ['a"b', "a\\b"]) {
    await asks(value);
  }
  expect(cache.size).toBe(2);
  expect(await asks("p-1")).toBe(1); // the oldest had to go
  cache.forget();
  expect(cache.size).toBe(0);
});

test("a lock is never answered from the cache", async () => {
  await rolledBack(async (target) => {
    const cache = new Cache([{ table: PRODUCTS }]);
    const references = new References({ cache });
    await references.referenceExists(target, PRODUCTS, "p-1");
    await target.query("DELETE FROM shop.orders");
    await target.query("DELETE FROM shop.products WHERE id = 'p-1'");
    expect(await references.referenceExists(target, PRODUCTS, "p-1")).toBe(true);
    const locked = target.transaction((session) =>
      references.referenceExists(session, PRODUCTS, "p-1", "id", { lock: true }),
    );
    expect(await locked).toBe(false);
  });
});

test("bounds of a cache that are none are refused", () => {
  expect(() => new Cache([], 0)).toThrow(
    "expected a positive number of rows and of seconds, got 0 and 60",
  );
});

test("checks and failures are counted, and too many failures are an alert", async () => {
  let now = 0;
  const metrics = new Metrics(15, () => now);
  const references = new References({ metrics });
  const check = (value: string) => references.referenceExists(database, PRODUCTS, value);
  expect(metrics.lately()).toEqual({ checked: 0, failed: 0, rate: undefined });
  for (let number = 0; number < 19; number++) {
    await check("p-1");
  }
  await check("none");
  expect(metrics.alert()).toBeUndefined(); // exactly the limit
  await check('no"ne');
  expect(metrics.alert()).toBe("2 of 21 references failed in 15 minutes: 9.5%, the limit is 5.0%");
  expect(metrics.exposition()).toBe(
    [
      "# HELP reference_checks_total References that were checked.",
      "# TYPE reference_checks_total counter",
      'reference_checks_total{table="shop.products"} 21',
      "# HELP reference_check_failures_total References that were refused.",
      "# TYPE reference_check_failures_total counter",
      'reference_check_failures_total{table="shop.products",reason="no such row"} 2',
      "",
    ].join("\n"),
  );
  now = 15 * 60_000;
  expect(metrics.lately().rate).toBeUndefined();
});

test("a refusal is told apart where both columns have the same name", async () => {
  await pool.query(
    "CREATE TABLE shop.person (user_id text PRIMARY KEY);" +
      "CREATE TABLE shop.person_detail (user_id text REFERENCES shop.person)",
  );
  const refusal = async (text: string): Promise<unknown> =>
    translated(database, await pool.query(text).catch((error: unknown) => error));
  try {
    expect(await refusal("INSERT INTO shop.person_detail VALUES ('none')")).toMatchObject({
      message: "user_id: expected a reference to shop.person, got 'none': no such row",
    });
    await pool.query("INSERT INTO shop.person VALUES ('u)=(1')");
    await pool.query("INSERT INTO shop.person_detail VALUES ('u)=(1')");
    expect(await refusal("DELETE FROM shop.person")).toMatchObject({
      message:
        "user_id: expected no reference from shop.person_detail, got 'u)=(1': still referenced",
      cause: { code: "23503" },
    });
  } finally {
    await pool.query("DROP TABLE shop.person_detail, shop.person");
  }
});

const SLOTS = { table: "shop.slots", idColumn: ["shelf", "name"] };

test("several columns are one reference: one round trip, one row remembered", async () => {
  const session = counting();
  const cache = new Cache([SLOTS]);
  const references = new References({ cache, declared: [SLOTS] });
  const wanted = [
    { ...SLOTS, field: ["a", "b"], value: [1, "a"] },
    { ...SLOTS, field: ["a", "b"], value: ["1", "a"] },
    { ...SLOTS, field: ["a", "b"], value: [7, null], optional: true },
  ];
  expect((await references.validateReferences(session, wanted)).valid).toBe(true);
  expect([session.asked, cache.size]).toEqual([2, 1]);
  await references.validateReferences(session, wanted);
  expect(session.asked).toBe(2);
  const found = await references.validateReferences(session, [
    { ...SLOTS, field: ["a", "b"], value: [1, "x"] },
  ]);
  expect(found.errors.map(({ fields, value }) => ({ fields, value }))).toEqual([
    { fields: ["a", "b"], value: [1, "x"] },
  ]);
});

test("a lock on several columns keeps the row", async () => {
  await database.transaction(async (session) => {
    const wanted = [{ ...SLOTS, field: ["a", "b"], value: [1, "a"] }];
    await new References().validateReferences(session, wanted, { lock: true });
    const free = "SELECT count(*) FROM (SELECT FROM shop.slots FOR UPDATE SKIP LOCKED) AS s";
    expect(await count(database, free)).toBe(5);
  });
});

test("more references of several columns than a call takes", async () => {
  const wanted = Array.from({ length: 1001 }, (_, number) => ({
    ...SLOTS,
    field: ["a", "b"],
    value: [number, "a"],
  }));
  await expect(new References().validateReferences(database, wanted)).rejects.toThrow(
    "expected at most 1,000 distinct references, got more; give them to the batch validator",
  );
});

/** The texts of a foreign key's refusal in all languages of the server. */
const { languages } = JSON.parse(
  readFileSync(new URL("tests/cases/refusals.json", ROOT), "utf-8"),
) as { languages: Record<string, Record<"insert" | "delete" | "detach", string[]>> };

function written(template: string | undefined, ...names: string[]): string {
  let next = 0;
  return (template ?? "").replaceAll(/%(?:(\d)\$)?s/g, (_, place?: string) =>
    String(names[place === undefined ? next++ : Number(place) - 1]),
  );
}

test.each(Object.keys(languages))("a refusal in the language %s", async (language) => {
  for (const table of ["child", "parent", "table", "Schlüssel", "of (all)"]) {
    for (const up of ["up", "id"]) {
      const key = { columns: [up], references: ["id"], schema: "s", parent: "parent" };
      const session = { inTransaction: false, query: async () => [key] };
      const said = { code: "23503", schema: "c", table, constraint: "fk" };
      const names = {
        insert: [table, "fk"],
        delete: ["parent", "fk", table],
        detach: ["part", "fk"],
      };
      for (const kind of ["insert", "delete", "detach"] as const) {
        const [message, detail, blind] = languages[language]?.[kind] ?? [];
        const [field, other] = kind === "insert" ? [up, "parent"] : ["id", table];
        const value = `v (up)=(1) (id)=("${table}"`;
        for (const [text, shown] of [
          [written(detail, field, value, other), value],
          [written(blind, other), null],
        ] as const) {
          const error = Object.assign(new Error(written(message, ...names[kind])), said);
          const found = await translated(session, Object.assign(error, { detail: text }));
          expect(found, text).toMatchObject({
            name: kind === "insert" ? "InvalidReferenceError" : "StillReferencedError",
            field,
            value: shown,
            table: kind === "insert" ? "s.parent" : `c.${table}`,
          });
        }
      }
    }
  }
});

test("a refusal that the catalog does not know, and what is no error, stay as they are", async () => {
  for (const error of ["text", new Error("x"), Object.assign(new Error("x"), { code: "23503" })]) {
    expect(await translated(database, error)).toBe(error);
  }
});

test.each([
  { value: "it's", text: `"it's"` },
  { value: `it's "it"`, text: `'it\\'s "it"'` },
  { value: "a\\b\n\u0000\u202e\ud800", text: "'a\\\\b\\n\\u{0}\\u{202e}\\u{d800}'" },
  { value: "🦆".repeat(200), text: `'${"🦆".repeat(99)}… (202 characters)` },
  { value: null, text: "null" },
  { value: undefined, text: "undefined" },
  { value: 12n, text: "12" },
  { value: { a: [1] }, text: '{"a":[1]}' },
])("a value is shown as $text", ({ value, text }) => {
  expect(shown(value)).toBe(text);
});

test("an error is its body in JSON", async () => {
  const error = new InvalidReferenceError("site_id", 7, "sites");
  expect(error).toBeInstanceOf(Error);
  expect(`${error}`).toBe(
    "InvalidReferenceError: site_id: expected a reference to sites, got 7: no such row",
  );
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    error: "invalid_reference",
    field: "site_id",
    value: "7",
    table: "sites",
    reason: "no such row",
    message: "site_id: expected a reference to sites, got 7: no such row",
  });
  expect(await count(database, "SELECT count(*) FROM shop.products")).toBe(4);
});
