/** Hand in the documents of a running workflow: the submission and all of them, or nothing. */

import { randomUUID } from "node:crypto";

import type { Database } from "./database.js";
import { InvalidReferenceError, RefusedError, UsageError, shown } from "./error.js";
import type { References } from "./references.js";

export interface NewSubmission {
  workflow_instance_id: string;
  documents: readonly { document_id: string; document_type: string }[];
}

// FOR SHARE: until we commit nobody can finish or cancel the workflow
const STATUS = "SELECT status FROM public.workflow_instances WHERE id = $1 FOR SHARE";
const INSERT = `
  INSERT INTO public.atp_submissions
      (id, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category,
       workflow_instance_id, primary_document_id, document_count, status, submitted_at)
  SELECT $1, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category,
         id, $3, $4, 'PENDING_APPROVAL', now()
    FROM public.workflow_instances WHERE id = $2
`;
const INSERT_DOCUMENTS = `
  INSERT INTO public.atp_submission_documents
      (workspace_id, submission_id, document_id, document_type)
  SELECT s.workspace_id, s.id, d.document_id, d.document_type
    FROM public.atp_submissions AS s
   CROSS JOIN unnest($2::text[], $3::varchar[]) AS d (document_id, document_type)
   WHERE s.id = $1
`;

/** Insert the submission with its documents and return its id; throws and writes nothing else. */
export async function createAtpSubmission(
  database: Database,
  references: References,
  { workflow_instance_id, documents }: NewSubmission,
): Promise<string> {
  const ids = documents.map((document) => document.document_id);
  onceEach(ids);
  return database.transaction(async (session) => {
    const workflow = {
      field: "workflow_instance_id",
      value: workflow_instance_id,
      table: "public.workflow_instances",
    };
    const wanted = ids.map((value, place) => ({
      field: `documents[${place}].document_id`,
      value,
      table: "public.documents",
    }));
    const { errors } = await references.validateReferences(session, [workflow, ...wanted], {
      lock: true,
    });
    if (errors.length > 0) {
      throw new RefusedError(errors);
    }
    const status = (await session.query(STATUS, [workflow_instance_id]))[0]?.["status"];
    if (status !== "IN_PROGRESS") {
      const { field, value, table } = workflow;
      const reason = `${status} and not IN_PROGRESS`;
      throw new RefusedError([new InvalidReferenceError(field, value, table, reason)]);
    }
    const id = `sub_${randomUUID().replaceAll("-", "")}`;
    const types = documents.map((document) => document.document_type);
    await session.query(INSERT, [id, workflow_instance_id, ids[0], ids.length]);
    await session.query(INSERT_DOCUMENTS, [id, ids, types]);
    return id;
  });
}

function onceEach(ids: readonly string[]): void {
  if (ids.length === 0) {
    throw new UsageError("expected at least one document, got none");
  }
  const again = ids.find((id, place) => ids.indexOf(id) !== place);
  if (again !== undefined) {
    throw new UsageError(`expected each document once, got ${shown(again)} again`);
  }
}
