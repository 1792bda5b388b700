"""runbook.toml: the project, its environments, criteria, gates, actions, limits and steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runbook import declarations, relationships
from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.verdict import Acceptance, Borrowing, Criterion, Gate, Tier

FILE_NAME = "runbook.toml"
PROJECT_VARIABLE = "RUNBOOK_PROJECT"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Project(_Section):
    """Where the parts of the project are; paths are relative to runbook.toml.

    ``checks`` and ``self_test`` name Python packages of the project's own. ``core`` is the group
    of relationships that the checks and gates count; empty: all of them.
    """

    title: str
    relationships: Path
    schemas: tuple[str, ...] | None = None
    core: str = ""
    checks: str = ""
    history: Path | None = None
    notebooks: Path = Path("notebooks")
    docs: Path = Path("docs")
    runs: Path = Path("runs")
    self_test: str = ""


class CriterionEntry(_Section):
    id: str
    title: str
    tier: Tier


class AcceptEntry(_Section):
    check: str
    action: str
    reason: str
    failing: int | None = None


class BorrowEntry(_Section):
    criterion: str
    environment: str


class GateEntry(_Section):
    name: str
    title: str
    accept: tuple[AcceptEntry, ...] = ()
    ignore: tuple[str, ...] = ()
    evidence: tuple[BorrowEntry, ...] = ()

    def gate(self) -> Gate:
        return Gate(
            name=self.name,
            title=self.title,
            accepts=tuple(Acceptance(**entry.model_dump()) for entry in self.accept),
            ignores=self.ignore,
            borrows=tuple(Borrowing(**entry.model_dump()) for entry in self.evidence),
        )


class Action(_Section):
    """An action item; done when the fact of the same run has the value ``equals``."""

    id: str
    title: str
    phase: str = ""
    fact: str
    equals: int | str | bool


class StepEntry(_Section):
    """A notebook of the runbook. ``alone``: nothing else runs beside it."""

    name: str
    title: str
    notebook: str
    alone: bool = False
    covers: tuple[str, ...] = ()


class Settings(_Section):
    """Everything in runbook.toml; ``folder`` is the folder that holds it."""

    folder: Path = Path()
    project: Project
    environments: dict[str, Environment] = Field(min_length=1)
    criterion: tuple[CriterionEntry, ...] = ()
    gate: tuple[GateEntry, ...] = ()
    action: tuple[Action, ...] = ()
    step: tuple[StepEntry, ...] = ()
    limits: dict[str, int | float | str] = Field(default_factory=dict)
    demo: Literal["telecore", ""] = ""

    @model_validator(mode="before")
    @classmethod
    def _names(cls, values: Any) -> Any:
        environments = values.get("environments") if isinstance(values, dict) else None
        if isinstance(environments, dict):
            for name, entry in environments.items():
                if isinstance(entry, dict):
                    entry.setdefault("name", name)
                    entry.setdefault("title", name.capitalize())
        return values

    @model_validator(mode="after")
    def _references(self) -> Settings:
        gates = {entry.name for entry in self.gate}
        actions = {entry.id for entry in self.action}
        criteria = {entry.id for entry in self.criterion}
        for environment in self.environments.values():
            for name in environment.all_gates:
                _known("gate", name, gates, f"environments.{environment.name}")
        for entry in self.gate:
            for acceptance in entry.accept:
                _known("action", acceptance.action, actions, f"gate {entry.name!r}")
            for borrowed in entry.evidence:
                _known("criterion", borrowed.criterion, criteria, f"gate {entry.name!r}")
                _known(
                    "environment", borrowed.environment, set(self.environments), f"{entry.name!r}"
                )
        return self

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        return tuple(Criterion(entry.id, entry.title, entry.tier) for entry in self.criterion)

    def environment(self, name: str) -> Environment:
        """The environment of that name; raises :class:`UsageError` with the known names."""
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise UsageError(
                f"no environment {name!r} in {self.folder / FILE_NAME}", f"choose one of: {known}"
            )
        return self.environments[name]

    def gates_of(self, environment: Environment) -> tuple[Gate, ...]:
        gates = {entry.name: entry.gate() for entry in self.gate}
        return tuple(gates[name] for name in environment.all_gates)

    def path(self, relative: Path) -> Path:
        return self.folder / relative

    @property
    def runs(self) -> Path:
        return self.path(self.project.runs)

    def relationships(self) -> relationships.Relationships:
        return relationships.read(self.path(self.project.relationships))

    def is_core(self, relationship: relationships.Relationship) -> bool:
        """Whether the checks and gates count it."""
        return not self.project.core or relationship.group == self.project.core

    def limit(self, name: str) -> float:
        """A number from ``[limits]``; raises :class:`UsageError` when there is none."""
        value = self.limits.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(
                f"{self.folder / FILE_NAME}: limits.{name}: expected a number, got {value!r}",
                f"add {name} = … under [limits]",
            )
        return value


def _known(kind: str, name: str, known: set[str], where: str) -> None:
    if name not in known:
        choices = ", ".join(sorted(known)) or "none is declared"
        raise ValueError(f"{where} names {kind} {name!r}, expected one of: {choices}")


def find(start: Path | None = None) -> Path:
    """The folder of runbook.toml: ``$RUNBOOK_PROJECT``, or ``start`` or the nearest above it."""
    named = os.environ.get(PROJECT_VARIABLE)
    origin = Path(named) if named and start is None else (start or Path.cwd())
    for folder in (origin.resolve(), *origin.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise UsageError(
        f"no {FILE_NAME} in {origin} or above it",
        f"go to a project's folder, or set {PROJECT_VARIABLE}",
    )


def read(folder: Path | None = None) -> Settings:
    """Read runbook.toml of ``folder`` (None: found from here); errors name line and key."""
    place = folder or find()
    path = place / FILE_NAME
    text = declarations.read_text(path, "go to a project's folder")
    return declarations.parse(text, path, Settings).model_copy(update={"folder": place})
