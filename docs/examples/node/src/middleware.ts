/** Express middleware: a request is refused before its handler runs. */

import type { NextFunction, Request, RequestHandler, Response } from "express";

import type { BatchParent } from "./batch.js";
import type { Session } from "./database.js";
import { InvalidReferenceError, RefusedError } from "./error.js";
import type { Reference, References } from "./references.js";
import { NO_ROW } from "./values.js";

/**
 * The rows that the body's fields name exist; answers 400 with every fault otherwise.
 *
 * In a PATCH a field that is absent is left alone.
 */
export function validateBody(
  references: References,
  session: Session,
  parents: Readonly<Record<string, BatchParent>>,
): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    const body: unknown = request.body;
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      const message = "expected a JSON object as the body";
      response.status(400).json({ error: "invalid_body", message });
      return;
    }
    const fields = new Map(Object.entries(body));
    const wanted = referencesOf(fields, parents, request.method === "PATCH");
    const { valid, errors } = await references.validateReferences(session, wanted);
    if (valid) {
      next();
    } else {
      response.status(400).json({ error: "invalid_references", errors });
    }
  };
}

/**
 * The references of a body by its fields' parents.
 *
 * With `partial` an absent field is left alone: where others of the same key are there, it takes a
 * null among them to know that they refer to nothing, and otherwise all of them.
 */
function referencesOf(
  body: ReadonlyMap<string, unknown>,
  parents: Readonly<Record<string, BatchParent>>,
  partial: boolean,
): Reference[] {
  return Object.entries(parents).flatMap(([name, { fields = [name], ...parent }]) => {
    const values = fields.map((field) => body.get(field) ?? null);
    const given = fields.filter((field) => body.has(field));
    const { idColumn, optional = false, match = "simple" } = parent;
    const reference: Reference = Array.isArray(idColumn)
      ? { ...parent, field: fields, value: values }
      : { ...parent, field: name, value: values[0] };
    if (!partial || given.length === fields.length) {
      return [reference];
    }
    const nothing =
      optional && match === "simple" && given.some((field) => body.get(field) === null);
    return given.length === 0 || nothing ? [] : [{ ...reference, optional: false, match: "full" }];
  });
}

/** The config version that the body names exists; answers 400 otherwise. */
export function validateConfigVersionReference(
  references: References,
  session: Session,
): RequestHandler {
  return validateBody(references, session, {
    config_version_id: { table: "public.config_versions" },
  });
}

/** Whether the request's user may use the workspace, which exists. */
export type Access = (request: Request, workspaceId: string) => boolean | Promise<boolean>;

/**
 * The workspace of the path exists, and the user may use it.
 *
 * Answers 400 for what is no workspace's id, 404 where it does not exist, 403 without access.
 */
export function validateWorkspaceAccess(
  references: References,
  session: Session,
  mayUse: Access,
): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    const field = "workspace_id";
    const value = request.params[field];
    const wanted = { field, value, table: "public.workspaces" };
    const [error] = (await references.validateReferences(session, [wanted])).errors;
    if (error !== undefined) {
      response.status(error.reason === NO_ROW ? 404 : 400).json(error);
    } else if (!(await mayUse(request, String(value)))) {
      const message = `${field}: expected one that the caller may use, got another`;
      response.status(403).json({ error: "forbidden", field, value, message });
    } else {
      next();
    }
  };
}

/** The last handler of the application: a faulty reference that a service found is a 400 too. */
export function answerInvalidReferences(
  error: unknown,
  _request: Request,
  response: Response,
  next: NextFunction,
): void {
  if (error instanceof InvalidReferenceError) {
    response.status(error.code === "still_referenced" ? 409 : 400).json(error);
  } else if (error instanceof RefusedError) {
    response.status(400).json({ error: "invalid_references", errors: error.errors });
  } else {
    next(error);
  }
}
