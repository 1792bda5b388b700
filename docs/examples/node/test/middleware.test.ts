/** A real application, asked over HTTP. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

import express from "express";
import { afterAll, beforeAll, expect, test } from "vitest";

import { application } from "../src/app.js";
import {
  answerInvalidReferences,
  validateBody,
  validateConfigVersionReference,
  validateWorkspaceAccess,
} from "../src/middleware.js";
import { faultsOfOrder, pool as orders, siteIsKnown } from "../src/order.js";
import { deletePolicy } from "../src/policy-service.js";
import { References } from "../src/references.js";
import { createWorkflowInstance } from "../src/workflow-service.js";
import { database, pool } from "./database.js";

const MINE = "11111111-1111-4111-8111-111111111111";
const OTHER = "22222222-2222-4222-8222-222222222222";
const NONE = "00000000-0000-0000-0000-000000000000";

let server: Server;
let address: string;

beforeAll(async () => {
  const references = new References();
  const app = express();
  app.use(express.json());
  const access = validateWorkspaceAccess(references, database, (_, id) => id === MINE);
  const config = validateConfigVersionReference(references, database);
  app.post("/workspaces/:workspace_id/imports", access, config, (_, response) => {
    response.status(201).json({});
  });
  app.patch("/workspaces/:workspace_id/imports", access, config, (_, response) => {
    response.json({});
  });
  const slot = { table: "shop.slots", idColumn: ["shelf", "name"], fields: ["shelf", "slot"] };
  for (const [path, parent] of Object.entries({
    "/parts": slot,
    "/simple": { ...slot, optional: true },
    "/full": { ...slot, optional: true, match: "full" as const },
  })) {
    app.all(path, validateBody(references, database, { slot: parent }), (_, response) => {
      response.json({ errors: [] });
    });
  }
  app.post("/workflows", async (request, response) => {
    const id = await createWorkflowInstance(database, references, request.body);
    response.status(201).json({ id });
  });
  app.delete("/policies/:id", async (request, response) => {
    await deletePolicy(database, request.params.id);
    response.status(204).end();
  });
  app.use(answerInvalidReferences);
  await new Promise<void>((listening) => {
    server = app.listen(0, "127.0.0.1", () => listening());
  });
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await new Promise((closed) => server.close(closed));
  await pool.end();
});

async function ask(method: string, path: string, body?: unknown): Promise<[number, unknown]> {
  const answer = await fetch(`${address}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return [answer.status, await answer.json()];
}

test.each([
  ["the user's workspace and a config version that exists", MINE, "cfg_active", 201],
  ["a config version that does not exist", MINE, "none", 400],
  ["a config version that is null", MINE, null, 400],
  ["a workspace that is no uuid", "mine", "cfg_active", 400],
  ["a workspace that does not exist", NONE, "cfg_active", 404],
  ["a workspace of others", OTHER, "cfg_active", 403],
])("%s", async (_, workspace, config, status) => {
  const body = { config_version_id: config };
  expect((await ask("POST", `/workspaces/${workspace}/imports`, body))[0]).toBe(status);
});

test("the body says what is wrong with which field", async () => {
  const body = { config_version_id: "none" };
  expect(await ask("POST", `/workspaces/${MINE}/imports`, body)).toEqual([
    400,
    {
      error: "invalid_references",
      errors: [
        {
          error: "invalid_reference",
          field: "config_version_id",
          value: "none",
          table: "public.config_versions",
          reason: "no such row",
          message:
            "config_version_id: expected a reference to public.config_versions, got 'none':" +
            " no such row",
        },
      ],
    },
  ]);
  expect(await ask("POST", `/workspaces/${OTHER}/imports`, {})).toEqual([
    403,
    {
      error: "forbidden",
      field: "workspace_id",
      value: OTHER,
      message: "workspace_id: expected one that the caller may use, got another",
    },
  ]);
});

test.each([undefined, []])("a body that is no object: %j", async (body) => {
  expect(await ask("POST", `/workspaces/${MINE}/imports`, body)).toEqual([
    400,
    { error: "invalid_body", message: "expected a JSON object as the body" },
  ]);
});

const [NO_ROW, NO_VALUE, SOME] = [
  "no such row",
  "no value",
  "a value for some of its columns only",
];

test.each([
  ["POST", { shelf: 1, slot: "a" }, undefined, undefined, undefined],
  ["POST", { shelf: 1, slot: "none" }, NO_ROW, NO_ROW, NO_ROW],
  ["POST", { shelf: 1 }, NO_VALUE, undefined, SOME],
  ["POST", {}, NO_VALUE, undefined, undefined],
  ["PATCH", {}, undefined, undefined, undefined],
  ["PATCH", { slot: "b" }, SOME, SOME, SOME],
  ["PATCH", { slot: null }, NO_VALUE, undefined, NO_VALUE],
  ["PATCH", { shelf: 1, slot: "none" }, NO_ROW, NO_ROW, NO_ROW],
])("several fields are one reference: %s %j", async (method, body, ...reasons) => {
  for (const [place, path] of ["/parts", "/simple", "/full"].entries()) {
    const [status, found] = await ask(method, path, body);
    const { errors } = found as { errors: { field: string; reason: string }[] };
    const reason = reasons[place];
    expect(status).toBe(reason === undefined ? 200 : 400);
    expect(errors.map((error) => [error.field, error.reason])).toEqual(
      reason === undefined ? [] : [["shelf, slot", reason]],
    );
  }
});

test("a field that is absent is left alone in a PATCH, and nowhere else", async () => {
  const path = `/workspaces/${MINE}/imports`;
  expect((await ask("PATCH", path, {}))[0]).toBe(200);
  expect((await ask("PATCH", path, { config_version_id: null }))[0]).toBe(400);
  expect((await ask("POST", path, {}))[0]).toBe(400);
});

test("a field that every object inherits is not the body's", async () => {
  const [status, answer] = await ask("POST", `/workspaces/${MINE}/imports`, {
    ["__proto__"]: { config_version_id: "cfg_active" },
  });
  expect(status).toBe(400);
  expect(answer).toMatchObject({ errors: [{ value: null, reason: "no value" }] });
});

test("the application of the guide", async () => {
  const whole = application(database, (_, id) => id === MINE).listen(0, "127.0.0.1");
  await new Promise((listening) => whole.once("listening", listening));
  const place = `http://127.0.0.1:${(whole.address() as AddressInfo).port}`;
  const send = (method: string, path: string, body?: unknown) =>
    fetch(`${place}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  try {
    const order = {
      config_version_id: "cfg_active",
      approval_policy_id: "pol_1",
      scope_id: "scope_1",
      site_id: "site_1",
      atp_category: "SOFTWARE",
    };
    const made = await send("POST", `/workspaces/${MINE}/workflows`, order);
    expect(made.status).toBe(201);
    const { id } = (await made.json()) as { id: string };
    await pool.query("DELETE FROM workflow_instances WHERE id = $1", [id]);
    const refused = { ...order, config_version_id: "cfg_old" };
    expect((await send("POST", `/workspaces/${MINE}/workflows`, refused)).status).toBe(400);
    expect((await send("POST", `/workspaces/${OTHER}/workflows`, order)).status).toBe(403);
    expect((await send("DELETE", "/policies/pol_1")).status).toBe(409);
    expect((await send("DELETE", "/policies/none")).status).toBe(204);
    const metrics = await (await send("GET", "/metrics")).text();
    expect(metrics).toContain('reference_checks_total{table="public.workspaces"} 5\n');
  } finally {
    await new Promise((closed) => whole.close(closed));
  }
});

test("the order of the guide is looked up", async () => {
  try {
    expect(await siteIsKnown("site_1")).toBe(true);
    expect(await siteIsKnown("no site")).toBe(false);
    const good = { workspace_id: MINE, config_version_id: "cfg_active", site_id: "site_1" };
    expect(await faultsOfOrder(good)).toEqual([]);
    expect(await faultsOfOrder({ ...good, site_id: "no site" })).toMatchObject([
      { message: "site_id: expected a reference to public.sites, got 'no site': no such row" },
    ]);
    expect(await faultsOfOrder({})).toHaveLength(3);
  } finally {
    await orders.end();
  }
});

test("what a service refuses is answered with its errors", async () => {
  const order = { workspace_id: NONE, config_version_id: "cfg_active", atp_category: "SOFTWARE" };
  const [status, answer] = await ask("POST", "/workflows", {
    ...order,
    approval_policy_id: "pol_1",
    scope_id: "none",
    site_id: "site_1",
  });
  expect(status).toBe(400);
  expect(answer).toMatchObject({ errors: [{ field: "workspace_id" }, { field: "scope_id" }] });
});

test("a row that is still referred to is a conflict", async () => {
  const [status, answer] = await ask("DELETE", "/policies/pol_1");
  expect(status).toBe(409);
  expect(answer).toMatchObject({ error: "still_referenced", value: "pol_1" });
});
