"""The command ``runbook remediate``."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from runbook import connection
from runbook import environment as environments
from runbook.commands.remediating import Remediating
from runbook.consent import allowed_change, permit_change
from runbook.errors import UsageError
from runbook.remediation.preparation import Request
from runbook.remediation.remedy import Strategy
from runbook.settings import read as read_settings
from runbook.terminal import Confirm, Dsn, EnvironmentName, Folder, OwnerDsn

RelationshipName = Annotated[
    str,
    typer.Argument(
        metavar="RELATIONSHIP",
        help="A relationship of relationships.toml, as orders.customer_id.",
    ),
]
To = Annotated[
    list[str] | None,
    typer.Option(help="reassign: the key of the parent that the rows get; once per column."),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(help="Only the rows that refer to this missing parent; once per column."),
]
FromTable = Annotated[
    str, typer.Option("--from-table", help="restore: the table that has the parents.")
]
FromFile = Annotated[
    Path | None, typer.Option("--from-file", help="restore: a .csv or .json with the parents.")
]
MinimumAge = Annotated[
    str | None,
    typer.Option("--minimum-age", help="Leave younger rows alone, as 1h, by their creation."),
]
WithoutKey = Annotated[
    str, typer.Option("--without-key", help="Why no key refuses new orphan rows meanwhile.")
]


def remediate_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    relationship: RelationshipName = "",
    strategy: Annotated[
        Strategy | None, typer.Option(help="What becomes of its orphan rows.")
    ] = None,
    to: To = None,
    missing: Missing = None,
    from_table: FromTable = "",
    from_file: FromFile = None,
    minimum_age: MinimumAge = None,
    without_key: WithoutKey = "",
    reason: Annotated[str, typer.Option("--reason", help="Why it is done; recorded.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; else it is only printed.")] = False,
    undo: Annotated[str, typer.Option("--undo", help="Bring back what this id did.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the remediations so far.")] = False,
    confirm: Confirm = "",
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    project: Folder = None,
) -> None:
    """Mend the orphan rows of a relationship; every row that is touched is kept and can come back.

    \b
    Without --apply nothing is changed: it prints the counts and the SQL. The strategies:
      delete      take the rows away, where the relationship's ON DELETE is CASCADE
      set-null    let them refer to nothing, where its ON DELETE is SET NULL
      restore     bring the missing parents back, from --from-table or --from-file
      reassign    give the rows another parent, --to
      flag        leave the rows and note them
      quarantine  take the rows away, whatever its ON DELETE is
    \b
    Rows go, in the statement that removes or changes them, to a table in the schema
    runbook_quarantine. --undo brings all rows of a remediation back, or none where what is there
    has changed since. A remediation that was cut short goes on with the same command.
    \b
    The exit codes:
      0  no orphan row is left, or it was undone
      1  orphan rows are left
      2  wrong usage, or refused; nothing was changed
      3  cut short
    \b
    Examples:
      runbook remediate staging workflow_stages.workflow_instance_id --strategy quarantine
      runbook remediate staging punchlist_items --strategy delete --apply --reason "ticket 12"
      runbook remediate staging orders.customer_id --strategy reassign --missing 9 --to 7
      runbook remediate staging --undo 20260102T030405Z --apply --reason "ticket 13"
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    change = allowed_change(target)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    if apply and not reason:
        raise UsageError("--apply: expected --reason", "say why, for those who read the record")
    request = (
        None
        if list_ or undo
        else _request(
            relationship, strategy, to, missing, from_table, from_file, minimum_age, without_key
        )
    )
    if apply and not list_:
        permit_change(target, confirm)
    work = Remediating(settings, target, change, reason)
    if list_:
        work.list()
        return
    if request is None:
        work.undo(undo, apply=apply)
        return
    raise typer.Exit(work.mend(request) if apply else work.show(request))


def _request(  # noqa: PLR0913, PLR0917 - the options of the command
    relationship: str,
    strategy: Strategy | None,
    to: list[str] | None,
    missing: list[str] | None,
    from_table: str,
    from_file: Path | None,
    minimum_age: str | None,
    without_key: str,
) -> Request:
    if not relationship:
        raise UsageError("expected a relationship", "name one as orders.customer_id, or --list")
    if strategy is None:
        raise UsageError("expected --strategy", f"choose one of: {', '.join(Strategy)}")
    age = _age(minimum_age)
    request = Request(
        relationship,
        strategy,
        tuple(to or ()),
        tuple(missing or ()),
        from_table,
        from_file,
        age,
        without_key,
    )
    request.refuse()
    return request


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        value: timedelta = environments.duration(text)
    except ValueError as error:
        raise UsageError(f"--minimum-age: {error}", "write it as --minimum-age 1h") from None
    return value
