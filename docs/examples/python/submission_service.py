"""Hand in a submission with its documents: all of it is written, or nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg.rows import tuple_row

from runbook.references import (
    InvalidReferenceError,
    Reference,
    translated,
    validate_references,
)

WORKFLOWS = "public.workflow_instances"


# --8<-- [start:order]
class RefusedError(Exception):
    """The submission breaks a rule; ``errors`` has one entry for each field at fault."""

    def __init__(self, *errors: InvalidReferenceError) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


@dataclass(frozen=True)
class Document:
    """A document that exists, and what it is in this submission."""

    document_id: str
    document_type: str


def references(workflow: str, documents: Sequence[Document]) -> list[Reference]:
    """Every row that the submission names; raises ValueError for none or the same document."""
    if not documents:
        raise ValueError("expected at least one document, got none")
    seen = set()
    for document in documents:
        if document.document_id in seen:
            raise ValueError(f"expected each document once, got {document.document_id!r} again")
        seen.add(document.document_id)
    return [
        Reference("workflow_instance_id", workflow, WORKFLOWS),
        *(
            Reference(f"documents[{n}].document_id", document.document_id, "public.documents")
            for n, document in enumerate(documents)
        ),
    ]
    # --8<-- [end:order]


# --8<-- [start:create]
# FOR SHARE keeps the status as well: until we commit nobody can complete or cancel the workflow.
STATUS: LiteralString = "SELECT status FROM public.workflow_instances WHERE id = %s FOR SHARE"
# site, scope and the rest are the workflow's own: they cannot contradict it
INSERT: LiteralString = """
    INSERT INTO public.atp_submissions
        (id, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category,
         workflow_instance_id, primary_document_id, document_count, status, submitted_at)
    SELECT %(id)s, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category,
           id, %(primary)s, %(count)s, 'PENDING_APPROVAL', now()
      FROM public.workflow_instances WHERE id = %(workflow)s
"""
INSERT_DOCUMENT: LiteralString = """
    INSERT INTO public.atp_submission_documents
        (workspace_id, submission_id, document_id, document_type)
    SELECT workspace_id, id, %s, %s FROM public.atp_submissions WHERE id = %s
"""


def create_atp_submission(
    connection: psycopg.Connection[Any], workflow: str, documents: Sequence[Document]
) -> str:
    """Insert the submission with its documents, the first one primary, and return its id.

    Raises RefusedError and writes nothing where a row is missing or the workflow is not in
    progress, and ValueError for documents that are none or the same.
    """
    wanted = references(workflow, documents)
    submission = f"sub_{uuid4().hex}"
    with translated(wanted, connection), connection.transaction():
        missing = validate_references(connection, wanted, lock=True).errors
        if missing:
            raise RefusedError(*missing)
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        ((status,),) = cursor.execute(STATUS, [workflow]).fetchall()
        if status != "IN_PROGRESS":
            reason = f"{status} and not IN_PROGRESS"
            raise RefusedError(
                InvalidReferenceError("workflow_instance_id", workflow, WORKFLOWS, reason)
            )
        values = {"id": submission, "workflow": workflow, "count": len(documents)}
        connection.execute(INSERT, values | {"primary": documents[0].document_id})
        rows = [(each.document_id, each.document_type, submission) for each in documents]
        cursor.executemany(INSERT_DOCUMENT, rows)
    return submission
    # --8<-- [end:create]
