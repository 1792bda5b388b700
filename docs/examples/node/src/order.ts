/** Check a request's references before anything is written: the first lines of a handler. */

import pg from "pg";

import { pgDatabase } from "./database.js";
import type { InvalidReferenceError } from "./error.js";
import { References } from "./references.js";

// PGHOST, PGDATABASE and so on name the database
export const pool = new pg.Pool();
const database = pgDatabase(pool);
const references = new References({
  // nothing else may be asked for
  declared: [
    { table: "public.workspaces" },
    { table: "public.config_versions" },
    { table: "public.sites" },
  ],
});

/** One reference: a yes or a no. */
export async function siteIsKnown(siteId: unknown): Promise<boolean> {
  return references.referenceExists(database, "public.sites", siteId);
}

/** Many references to many tables: one round trip, and every fault at once. */
export async function faultsOfOrder(
  order: Readonly<Record<string, unknown>>,
): Promise<InvalidReferenceError[]> {
  const { errors } = await references.validateReferences(database, [
    { field: "workspace_id", value: order["workspace_id"], table: "public.workspaces" },
    {
      field: "config_version_id",
      value: order["config_version_id"],
      table: "public.config_versions",
    },
    { field: "site_id", value: order["site_id"], table: "public.sites" },
  ]);
  return errors;
}
