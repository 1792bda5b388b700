/** The checks through Prisma's client, which was generated from Telecore's schema. */

import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, expect, test } from "vitest";

import { PrismaClient } from "../generated/client.js";
import { RefusedError } from "../../node/src/error.js";
import { prismaDatabase } from "../../node/src/prisma.js";
import { References } from "../../node/src/references.js";
import { translated } from "../../node/src/refusal.js";
import { createWorkflowInstance } from "../../node/src/workflow-service.js";

// without settings pg reads PGHOST, PGDATABASE and so on
const prisma = new PrismaClient({ adapter: new PrismaPg({}) });
const database = prismaDatabase(prisma);
const references = new References();

const ORDER = {
  workspace_id: "11111111-1111-4111-8111-111111111111",
  config_version_id: "cfg_active",
  approval_policy_id: "pol_1",
  scope_id: "scope_1",
  site_id: "site_1",
  atp_category: "SOFTWARE",
};

afterAll(() => prisma.$disconnect());

test("references of every type are looked up", async () => {
  const { errors } = await references.validateReferences(database, [
    { field: "workspace_id", value: ORDER.workspace_id, table: "public.workspaces" },
    { field: "config_version_id", value: 'a"b\\c', table: "public.config_versions" },
    { field: "shelf", value: 7, table: "shop.shelves", idColumn: "number" },
    { field: "other", value: 8, table: "shop.shelves", idColumn: "number" },
  ]);
  expect(errors.map(({ field, reason }) => [field, reason])).toEqual([
    ["config_version_id", "no such row"],
    ["other", "no such row"],
  ]);
});

test("a workflow is created in one of Prisma's transactions", async () => {
  const id = await createWorkflowInstance(database, references, ORDER);
  const found = await prisma.workflowInstance.findUniqueOrThrow({ where: { id } });
  expect(found).toMatchObject({ approvalPolicyId: "pol_1", status: "IN_PROGRESS" });
});

test("a refused one leaves nothing", async () => {
  const before = await prisma.workflowInstance.count();
  const refused = createWorkflowInstance(database, references, { ...ORDER, scope_id: "none" });
  await expect(refused).rejects.toThrow(RefusedError);
  expect(await prisma.workflowInstance.count()).toBe(before);
});

test("a lock outside a transaction is refused", async () => {
  const asked = references.referenceExists(database, "public.sites", "site_1", "id", {
    lock: true,
  });
  await expect(asked).rejects.toThrow("lock needs a transaction, got a session outside of one");
});

test("what a foreign key refuses stays Prisma's error, which lacks the column and the value", async () => {
  const data = {
    workspaceId: "00000000-0000-0000-0000-000000000000",
    sourceFileName: "matrix.xlsx",
    sourceType: "APPROVAL_MATRIX",
    versionNumber: 9,
    importedBy: "user_1",
  };
  const error = await prisma.configVersion.create({ data }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "P2003" });
  expect(await translated(database, error)).toBe(error);
});
