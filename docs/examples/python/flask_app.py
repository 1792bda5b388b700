"""A Flask application whose requests are checked before they reach a handler."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from psycopg import Connection
from psycopg_pool import ConnectionPool

from runbook.references import Metrics, Parent, Setup
from runbook.references.body import AccessCheck
from runbook.references.wsgi import AccessMiddleware, Environ, ReferenceMiddleware

MEMBER = "SELECT FROM app.members WHERE workspace_id = %s AND user_id = %s"


# --8<-- [start:access]
def workspace_of(environ: Environ) -> str | None:
    """The workspace that a request works in, from a header of its own."""
    return environ.get("HTTP_X_WORKSPACE_ID") or None


def is_member(connection: Connection, environ: Environ, workspace: str) -> bool:
    """Whether the caller belongs to the workspace; a real one takes the user from a session."""
    user = environ.get("HTTP_X_USER_ID", "")
    return connection.execute(MEMBER, [workspace, user]).fetchone() is not None
    # --8<-- [end:access]


# --8<-- [start:app]
def application(pool: ConnectionPool) -> Flask:
    """An application that echoes what passed, and serves its counters to Prometheus."""
    app, metrics = Flask(__name__), Metrics()
    setup = Setup(metrics=metrics)

    @app.post("/workflows")
    def workflows() -> tuple[Response, int]:
        return jsonify(request.get_json()), 201

    @app.get("/metrics")
    def scrape() -> Response:
        return Response(metrics.exposition(), content_type="text/plain; version=0.0.4")

    inner = ReferenceMiddleware(
        app.wsgi_app, pool, {"config_version_id": "public.config_versions"}, setup=setup
    )
    app.wsgi_app = AccessMiddleware(
        inner,
        pool,
        AccessCheck(
            Parent("public.workspaces"),
            "workspace_id",
            applies=lambda _method, path: path.startswith("/workflows"),
        ),
        value_of=workspace_of,
        allowed=is_member,
        setup=setup,
    )
    return app
    # --8<-- [end:app]
