"""MkDocs in a process of its own: ``python -m runbook.site.mkdocs build`` is ``mkdocs build``."""

from __future__ import annotations

from runbook import imports


def main() -> None:
    """Run MkDocs' command line, which ends the process."""
    imports.leave_out_grammars()
    from mkdocs.__main__ import cli  # noqa: PLC0415 - after what it is to leave out

    cli(prog_name="mkdocs")


if __name__ == "__main__":
    main()
