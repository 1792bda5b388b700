/** The services against another session that acts at the worst moment. */

import { afterAll, afterEach, expect, test } from "vitest";

import { StillReferencedError } from "../src/error.js";
import { deletePolicy } from "../src/policy-service.js";
import { References } from "../src/references.js";
import { createAtpSubmission } from "../src/submission-service.js";
import { createWorkflowInstance } from "../src/workflow-service.js";
import { count, database, pool } from "./database.js";

const ORDER = {
  workspace_id: "11111111-1111-4111-8111-111111111111",
  config_version_id: "cfg_active",
  approval_policy_id: "pol_1",
  scope_id: "scope_1",
  site_id: "site_1",
  atp_category: "SOFTWARE",
};
const ORPHANS = `
  SELECT count(*) FROM workflow_instances AS w WHERE NOT EXISTS
  (SELECT FROM approval_policy_master AS p WHERE p.id = w.approval_policy_id)
`;
const references = new References();

afterEach(async () => {
  await pool.query("DELETE FROM workflow_instances WHERE id LIKE 'wfi\\_%' AND created_at > $1", [
    before,
  ]);
  await pool.query("UPDATE config_versions SET status = 'ACTIVE' WHERE id = 'cfg_active'");
  await pool.query("UPDATE workflow_instances SET status = 'IN_PROGRESS' WHERE id = 'wfi_running'");
});
afterAll(() => pool.end());
const before = (await pool.query("SELECT localtimestamp::text AS now")).rows[0].now as string;

/** Waits until the server says that a session is blocked by `pid`; no clock is needed. */
async function blockedBy(pid: number): Promise<void> {
  const blocked = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))";
  while ((await count(database, blocked, pid)) === 0);
}

/** Runs `call` while `statement` is not committed yet, and commits it when the call waits for it. */
async function meanwhile<T>(statement: string, call: () => Promise<T>): Promise<T> {
  const other = await pool.connect();
  try {
    const { pid } = (await other.query("SELECT pg_backend_pid() AS pid")).rows[0];
    await other.query("BEGIN");
    await other.query(statement);
    const outcome = call();
    outcome.catch(() => undefined); // it is awaited below
    await blockedBy(pid);
    await other.query("COMMIT");
    return await outcome;
  } finally {
    other.release();
  }
}

test("a version that is superseded meanwhile is refused", async () => {
  const workflows = await count(database, "SELECT count(*) FROM workflow_instances");
  const outcome = meanwhile(
    "UPDATE config_versions SET status = 'SUPERSEDED' WHERE id = 'cfg_active'",
    () => createWorkflowInstance(database, references, ORDER),
  );
  await expect(outcome).rejects.toThrow(
    "config_version_id: expected a reference to public.config_versions, got 'cfg_active':" +
      " SUPERSEDED and not ACTIVE",
  );
  expect(await count(database, "SELECT count(*) FROM workflow_instances")).toBe(workflows);
});

test("a policy that is deleted meanwhile is refused", async () => {
  await pool.query(
    "INSERT INTO approval_policy_master (id, workspace_id, config_version_id, scope_id, vendor_id," +
      " atp_category, policy_version) SELECT 'pol_gone', workspace_id, config_version_id, scope_id," +
      " vendor_id, 'HARDWARE', 'gone' FROM approval_policy_master WHERE id = 'pol_1'",
  );
  const outcome = meanwhile("DELETE FROM approval_policy_master WHERE id = 'pol_gone'", () =>
    createWorkflowInstance(database, references, { ...ORDER, approval_policy_id: "pol_gone" }),
  );
  await expect(outcome).rejects.toThrow(
    "approval_policy_id: expected a reference to public.approval_policy_master, got 'pol_gone':" +
      " no such row",
  );
  expect(await count(database, ORPHANS)).toBe(0);
});

test("a workflow that is cancelled meanwhile gets no submission", async () => {
  const submissions = await count(database, "SELECT count(*) FROM atp_submissions");
  const outcome = meanwhile(
    "UPDATE workflow_instances SET status = 'CANCELLED' WHERE id = 'wfi_running'",
    () =>
      createAtpSubmission(database, references, {
        workflow_instance_id: "wfi_running",
        documents: [{ document_id: "doc_1", document_type: "PRIMARY" }],
      }),
  );
  await expect(outcome).rejects.toThrow("CANCELLED and not IN_PROGRESS");
  expect(await count(database, "SELECT count(*) FROM atp_submissions")).toBe(submissions);
});

test("a delete that looks waits for the insert, and is refused", async () => {
  const client = await pool.connect();
  try {
    await pool.query(
      "UPDATE workflow_instances SET approval_policy_id = 'pol_1' WHERE id = 'wfi_running'",
    );
    const { pid } = (await client.query("SELECT pg_backend_pid() AS pid")).rows[0];
    await client.query("BEGIN");
    const session = {
      inTransaction: true,
      query: async (text: string, values?: readonly unknown[]) =>
        (await client.query(text, [...(values ?? [])])).rows,
    };
    await references.referenceExists(session, "public.approval_policy_master", "pol_old", "id", {
      lock: true,
    });
    const deletion = deletePolicy(database, "pol_old");
    deletion.catch(() => undefined);
    await blockedBy(pid);
    await client.query(
      "INSERT INTO workflow_instances (id, workspace_id, config_version_id, approval_policy_id," +
        " scope_id, site_id, atp_category) SELECT 'wfi_late', workspace_id, config_version_id," +
        " 'pol_old', scope_id, site_id, atp_category FROM workflow_instances WHERE id = 'wfi_running'",
    );
    await client.query("COMMIT");
    await expect(deletion).rejects.toThrow(StillReferencedError);
    expect(await count(database, ORPHANS)).toBe(0);
  } finally {
    client.release();
  }
});

test("without a lock the same insert leaves an orphan row", async () => {
  await pool.query(
    "INSERT INTO approval_policy_master (id, workspace_id, config_version_id, scope_id, vendor_id," +
      " atp_category, policy_version) SELECT 'pol_race', workspace_id, config_version_id, scope_id," +
      " vendor_id, 'BOTH', 'race' FROM approval_policy_master WHERE id = 'pol_1'",
  );
  await database.transaction(async (session) => {
    const policy = "public.approval_policy_master";
    expect(await references.referenceExists(session, policy, "pol_race")).toBe(true);
    await deletePolicy(database, "pol_race"); // another session, which finds no workflow yet
    await session.query(
      "INSERT INTO workflow_instances (id, workspace_id, config_version_id, approval_policy_id," +
        " scope_id, site_id, atp_category) SELECT 'wfi_race', workspace_id, config_version_id," +
        " 'pol_race', scope_id, site_id, atp_category FROM workflow_instances" +
        " WHERE id = 'wfi_running'",
    );
  });
  expect(await count(database, ORPHANS)).toBe(1);
});
