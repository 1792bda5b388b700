"""Whether an environment may be changed, and who has to say so."""

from __future__ import annotations

import sys

import typer

from runbook.environment import Change, Environment
from runbook.errors import UsageError


def allowed_change(environment: Environment) -> Change:
    """What a change may take; raises :class:`UsageError` where the environment allows none."""
    if environment.change is None:
        name = environment.name
        raise UsageError(
            f"environment {name!r} allows no changes",
            f"add change = {{ … }} to [environments.{name}] in runbook.toml",
        )
    return environment.change


def permit_change(environment: Environment, confirmed: str) -> None:
    """Refuse to change a protected environment without its name, given or typed."""
    name = environment.name
    if environment.protected and not confirmed and sys.stdin.isatty():
        confirmed = typer.prompt(f"type {name} to change it", err=True)
    if confirmed and confirmed != name:
        raise UsageError(
            f"--confirm {confirmed!r} is not the environment, expected {name!r}",
            "confirm the environment that you mean",
        )
    if environment.protected and not confirmed:
        raise UsageError(
            f"environment {name!r} is protected, and this changes it",
            f"with the consent of {environment.confirms}: add --confirm {name}",
        )
