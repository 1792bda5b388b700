/** An Express application whose requests are checked before they reach a handler. */

import express, { type Express } from "express";

import type { Database } from "./database.js";
import { Metrics } from "./metrics.js";
import {
  type Access,
  answerInvalidReferences,
  validateConfigVersionReference,
  validateWorkspaceAccess,
} from "./middleware.js";
import { deletePolicy } from "./policy-service.js";
import { References } from "./references.js";
import { createWorkflowInstance } from "./workflow-service.js";

export function application(database: Database, mayUse: Access): Express {
  const metrics = new Metrics();
  const references = new References({ metrics });
  const app = express();
  app.use(express.json());

  // who may not come in learns nothing of other rows, so access is looked at first
  const access = validateWorkspaceAccess(references, database, mayUse);
  const config = validateConfigVersionReference(references, database);

  app.post("/workspaces/:workspace_id/workflows", access, config, async (request, response) => {
    const order = { ...request.body, workspace_id: request.params["workspace_id"] };
    response.status(201).json({ id: await createWorkflowInstance(database, references, order) });
  });
  app.delete("/policies/:id", async (request, response) => {
    await deletePolicy(database, request.params.id);
    response.status(204).end();
  });
  app.get("/metrics", (_request, response) => {
    response.type("text/plain; version=0.0.4").send(metrics.exposition());
  });
  app.use(answerInvalidReferences);
  return app;
}
