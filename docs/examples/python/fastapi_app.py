"""A FastAPI application: the middleware, and a handler for what the transaction finds."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool

from runbook.references import InvalidReferenceError, Reference, translated
from runbook.references import asynchronous as references
from runbook.references.asgi import ReferenceMiddleware

# --8<-- [start:app]
PARENTS = {
    "workflow_instance_id": "public.workflow_instances",
    "approval_role_id": "public.approval_role_master",
}
INSERT = """
    INSERT INTO public.workflow_stages
        (workflow_instance_id, config_version_id, stage_number, approval_role_id)
    SELECT id, config_version_id, %s, %s FROM public.workflow_instances WHERE id = %s
    RETURNING id
"""


def application(pool: AsyncConnectionPool) -> FastAPI:
    """An application that adds a stage to a workflow."""
    app = FastAPI()
    app.add_middleware(ReferenceMiddleware, pool=pool, parents=PARENTS)

    @app.exception_handler(InvalidReferenceError)
    async def refuse(_request: Request, error: InvalidReferenceError) -> JSONResponse:
        return JSONResponse(error.to_json(), status_code=409)

    @app.post("/stages", status_code=201)
    async def add_stage(request: Request) -> dict[str, str]:
        body = await request.json()
        wanted = [Reference(field, body[field], table) for field, table in PARENTS.items()]
        async with pool.connection() as connection:
            with translated(wanted):  # a foreign key's refusal becomes the same error
                async with connection.transaction():
                    # the middleware looked a moment ago; this lock is what keeps the rows
                    found = await references.validate_references(connection, wanted, lock=True)
                    for error in found.errors:
                        raise error
                    values = [body["stage_number"], *(item.value for item in reversed(wanted))]
                    cursor = await connection.execute(INSERT, values)
                    ((stage,),) = await cursor.fetchall()
        return {"id": str(stage)}

    return app
    # --8<-- [end:app]
