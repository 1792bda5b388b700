"""What the programs of this package need not import, because nothing in them uses it."""

from __future__ import annotations

import sys

GRAMMARS = "rfc3987_syntax"


def leave_out_grammars() -> None:
    """Spare a process that will import nbformat a second.

    nbformat imports jsonschema, and that, for the one format ``iri``, a package that makes 38
    grammars when it is imported. No schema of a notebook has that format, and jsonschema does
    without the package where it is not installed. For our own processes alone: a program that
    imports this package may need it.
    """
    sys.modules.setdefault(GRAMMARS, None)  # type: ignore[arg-type]  # None: cannot be imported
