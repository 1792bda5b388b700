"""Serves the built site on this machine, for reading; MkDocs is not needed for that."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from runbook.errors import UsageError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - its name there
        """Say nothing: a line a request would bury the address."""


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of ``site`` on 127.0.0.1; port 0 takes any free one."""
    if not (site / "index.html").is_file():
        raise UsageError(f"no site in {site}", "build it: runbook site build")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be used: {error.strerror}", "choose another with --port"
        ) from None
