/** Every case of the table that Python passes too. */

import { afterAll, expect, test } from "vitest";

import { type BatchParent, validateBatchReferences } from "../src/batch.js";
import type { Database, Session } from "../src/database.js";
import { InvalidReferenceError, RefusedError, UsageError } from "../src/error.js";
import { UnknownParentError } from "../src/parents.js";
import { deletePolicy } from "../src/policy-service.js";
import { References } from "../src/references.js";
import { translated } from "../src/refusal.js";
import { type NewSubmission, createAtpSubmission } from "../src/submission-service.js";
import { type NewWorkflow, createWorkflowInstance } from "../src/workflow-service.js";
import { count, database, pool, rolledBack } from "./database.js";
import { type Case, type Values, meant, table } from "./table.js";

afterAll(() => pool.end());

interface Outcome {
  ok?: unknown;
  errors?: Values[];
  checked?: number;
  failed?: number;
}

const parent = (item: Values): BatchParent => ({
  ...item,
  table: String(item["table"]),
  ...("column" in item ? { idColumn: item["column"] as string | string[] } : {}),
});
const body = (error: InvalidReferenceError): Values => JSON.parse(JSON.stringify(error)) as Values;

type Call = (target: Database, session: Session, given: Values) => Promise<Outcome>;

function references({ declared }: Values): References {
  return declared === undefined
    ? new References()
    : new References({ declared: (declared as Values[]).map(parent) });
}

async function created(target: Database, from: string, call: Promise<string>): Promise<Outcome> {
  const id = await call;
  expect(await count(target, `SELECT count(*) FROM ${from} WHERE id = $1`, id)).toBe(1);
  return { ok: "created" };
}

const CALLS: Record<string, Call> = {
  async reference_exists(_, session, given) {
    const { table: of, value, column = "id", lock = false } = given;
    const options = { lock: Boolean(lock) };
    const checks = references(given);
    return {
      ok: await checks.referenceExists(session, String(of), value, column as string, options),
    };
  },
  async validate_references(_, session, given) {
    const wanted = (given["references"] as Values[]).map((item) => ({
      ...parent(item),
      field: item["field"] as string | string[],
      value: item["value"],
    }));
    const options = { lock: Boolean(given["lock"]) };
    const { errors, valid } = await references(given).validateReferences(session, wanted, options);
    expect(valid).toBe(errors.length === 0);
    return { errors: errors.map(body) };
  },
  async validate_batch_references(_, session, given) {
    const parents = Object.fromEntries(
      Object.entries(given["parents"] as Record<string, Values>).map(([field, item]) => [
        field,
        parent(item),
      ]),
    );
    const { chunk, most_errors: mostErrors } = given as Record<string, number | undefined>;
    const found = await validateBatchReferences(
      references(given),
      session,
      given["records"] as unknown[],
      parents,
      {
        ...(chunk === undefined ? {} : { chunk }),
        ...(mostErrors === undefined ? {} : { mostErrors }),
      },
    );
    expect(found.valid).toBe(found.failed === 0);
    const errors = found.errors.map(({ index, error }) => ({ ...body(error), index }));
    return { errors, checked: found.checked, failed: found.failed };
  },
  async database_refusal(target, _, { sql, values }) {
    try {
      await target.transaction((session) => session.query(String(sql), values as unknown[]));
    } catch (error) {
      throw await translated(database, error);
    }
    return { ok: null };
  },
  create_workflow_instance: (target, _, given) =>
    created(
      target,
      "workflow_instances",
      createWorkflowInstance(target, new References(), given as unknown as NewWorkflow),
    ),
  create_atp_submission: (target, _, given) =>
    created(
      target,
      "atp_submissions",
      createAtpSubmission(target, new References(), given as unknown as NewSubmission),
    ),
  async delete_policy(target, _, { policy }) {
    await deletePolicy(target, String(policy));
    const left = "SELECT count(*) FROM approval_policy_master WHERE id = $1";
    expect(await count(target, left, policy)).toBe(0);
    return { ok: "deleted" };
  },
};

/** Every row of the tables that the services write to. */
const WRITTEN = `
  SELECT (SELECT count(*) FROM workflow_instances) + (SELECT count(*) FROM atp_submissions)
       + (SELECT count(*) FROM atp_submission_documents)
       + (SELECT count(*) FROM approval_policy_master) + (SELECT count(*) FROM shop.orders)
       + (SELECT count(*) FROM shop.products) + (SELECT count(*) FROM shop.customers) AS count
`;

function compare(found: Values, wanted: Values): void {
  const { value, ...rest } = wanted;
  expect(found).toMatchObject(rest);
  if (value === "*") {
    expect(found["value"]).toBeTypeOf("string");
  } else if (value !== undefined) {
    expect(found["value"]).toBe(value);
  }
}

function compareRefusal(error: unknown, { refused, message, sqlstate }: Case["expect"]): void {
  if (refused === "database") {
    expect(error).toMatchObject({ code: sqlstate });
    return;
  }
  expect(error).toBeInstanceOf(refused === "usage" ? UsageError : UnknownParentError);
  expect(error instanceof UnknownParentError).toBe(refused === "unknown_parent");
  if (message !== undefined) {
    expect((error as Error).message).toBe(message);
  }
}

async function check({ call, arguments: given, expect: wanted }: Case): Promise<void> {
  await rolledBack(async (target) => {
    const before = await count(target, WRITTEN);
    const run = CALLS[call];
    expect(run, call).toBeDefined();
    const values = meant(given) as Values;
    const { transaction, ...rest } = values;
    const outcome = transaction
      ? target.transaction((session) => run!(target, session, rest))
      : // a savepoint, so that the rows can be counted after the server has refused a statement
        target.transaction(() => run!(target, target, rest));
    const error = await outcome.then(
      () => undefined,
      (thrown: unknown) => thrown ?? new Error("nothing was thrown"),
    );
    if (wanted.refused !== undefined) {
      compareRefusal(error, wanted);
    } else if (wanted.throws !== undefined) {
      expect(error).toBeInstanceOf(InvalidReferenceError);
      compare(body(error as InvalidReferenceError), wanted.throws);
    } else if (wanted.errors !== undefined) {
      const found = error instanceof RefusedError ? { errors: error.errors.map(body) } : undefined;
      const { errors = [], ...counts }: Outcome = found ?? (await outcome);
      expect(errors).toHaveLength(wanted.errors.length);
      wanted.errors.forEach((item, place) => compare(errors[place]!, item));
      for (const name of ["checked", "failed"] as const) {
        expect(counts[name]).toBe(wanted[name]);
      }
    } else {
      expect(await outcome).toEqual({ ok: wanted.ok });
      return;
    }
    expect(await count(target, WRITTEN)).toBe(before);
  });
}

for (const item of table.cases) {
  test(item.name, () => check(item));
}

test("the table has cases for every call, and every call has cases", () => {
  expect(new Set(table.cases.map((item) => item.call))).toEqual(new Set(Object.keys(CALLS)));
});
