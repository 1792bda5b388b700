/** Start a workflow so that every row it names exists, and belongs to the same workspace. */

import { randomUUID } from "node:crypto";

import type { Database, Row, Session } from "./database.js";
import { InvalidReferenceError, RefusedError } from "./error.js";
import type { References } from "./references.js";

/** What a caller asks for, with the names of the columns; a vendor may be left out. */
export interface NewWorkflow {
  workspace_id: string;
  config_version_id: string;
  approval_policy_id: string;
  scope_id: string;
  site_id: string;
  atp_category: string;
  vendor_id?: string | null;
}

const TABLES = {
  workspace_id: "public.workspaces",
  config_version_id: "public.config_versions",
  approval_policy_id: "public.approval_policy_master",
  scope_id: "public.atp_scope_master",
  site_id: "public.sites",
  vendor_id: "public.vendor_master",
} as const;

// FOR SHARE, which is more than FOR KEY SHARE: until we commit nobody can supersede the version,
// or move one of these rows to another workspace
const RULES = `
  SELECT config.status,
         config.workspace_id = $1 AS config_version_id,
         policy.workspace_id = $1 AS approval_policy_id,
         scope.workspace_id = $1 AS scope_id,
         site.workspace_id = $1 AS site_id
    FROM public.config_versions AS config
    JOIN public.approval_policy_master AS policy ON policy.id = $3
    JOIN public.atp_scope_master AS scope ON scope.id = $4
    JOIN public.sites AS site ON site.id = $5
   WHERE config.id = $2
     FOR SHARE
`;
const VENDOR =
  "SELECT workspace_id = $1 AS vendor_id FROM public.vendor_master WHERE id = $2 FOR SHARE";

/** What is wrong with rows that exist: another workspace, or a version that is not ACTIVE. */
async function brokenRules(session: Session, order: NewWorkflow): Promise<InvalidReferenceError[]> {
  const { workspace_id, config_version_id, approval_policy_id, scope_id, site_id } = order;
  const values = [workspace_id, config_version_id, approval_policy_id, scope_id, site_id];
  const ours: Row = { ...(await session.query(RULES, values))[0] };
  if (order.vendor_id != null) {
    Object.assign(ours, (await session.query(VENDOR, [workspace_id, order.vendor_id]))[0]);
  }
  const errors = OWNED.filter((field) => order[field] != null && ours[field] !== true).map(
    (field) => fault(order, field, "of another workspace"),
  );
  if (ours["status"] !== "ACTIVE") {
    errors.push(fault(order, "config_version_id", `${ours["status"]} and not ACTIVE`));
  }
  return errors;
}

const OWNED = [
  "config_version_id",
  "approval_policy_id",
  "scope_id",
  "site_id",
  "vendor_id",
] as const;

function fault(order: NewWorkflow, field: keyof typeof TABLES, reason: string) {
  return new InvalidReferenceError(field, order[field], TABLES[field], reason);
}

const INSERT = `
  INSERT INTO public.workflow_instances
      (id, workspace_id, config_version_id, approval_policy_id, scope_id, site_id, vendor_id,
       atp_category, status, started_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'IN_PROGRESS', now())
`;

/** Insert the workflow and return its id; throws RefusedError and writes nothing otherwise. */
export async function createWorkflowInstance(
  database: Database,
  references: References,
  order: NewWorkflow,
): Promise<string> {
  return database.transaction(async (session) => {
    // first the lock, then the rules, then the row: all in one transaction
    const wanted = Object.entries(TABLES)
      .map(([field, table]) => ({ field, table, value: order[field as keyof typeof TABLES] }))
      .filter(({ field, value }) => field !== "vendor_id" || value != null);
    const { errors } = await references.validateReferences(session, wanted, { lock: true });
    const broken = errors.length > 0 ? errors : await brokenRules(session, order);
    if (broken.length > 0) {
      throw new RefusedError(broken);
    }
    const id = `wfi_${randomUUID().replaceAll("-", "")}`;
    const { workspace_id, config_version_id, approval_policy_id } = order;
    await session.query(INSERT, [
      id,
      workspace_id,
      config_version_id,
      approval_policy_id,
      order.scope_id,
      order.site_id,
      order.vendor_id ?? null,
      order.atp_category,
    ]);
    return id;
  });
}
