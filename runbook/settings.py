"""runbook.toml: the project, its environments, criteria, gates, actions, limits and steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runbook import declarations, relationships
from runbook.declarations import KeyedError
from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.relationships import Relationship, Relationships
from runbook.verdict import Acceptance, Borrowing, Criterion, Gate, Tier

FILE_NAME = "runbook.toml"
PROJECT_VARIABLE = "RUNBOOK_PROJECT"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Project(_Section, title="[project]"):
    """Where the parts of the project are; paths are relative to runbook.toml.

    ``checks`` and ``self_test`` name Python packages of the project's own. ``core`` is the group
    of relationships that the checks and gates count; empty: all of them. ``signers`` lists who may
    sign run records, in OpenSSH's allowed signers format.
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
    changes: Path = Path("changes")
    self_test: str = ""
    signers: Path | None = None


class CriterionEntry(_Section, title="[[criterion]]"):
    """A pass condition; it holds when all checks that name its id pass."""

    id: str
    title: str
    tier: Tier


class AcceptEntry(_Section, title="[[gate.accept]]"):
    """A failure that the gate accepts while an action is open, exactly that often."""

    check: str
    action: str
    reason: str
    failing: int | None = None


class BorrowEntry(_Section, title="[[gate.evidence]]"):
    """A criterion that, not looked at here, takes the evidence of another environment."""

    criterion: str
    environment: str


class GateEntry(_Section, title="[[gate]]"):
    """A named set of pass conditions; ``ignore`` lists checks whose condition it does not have."""

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


class Action(_Section, title="[[action]]"):
    """An action item; done when the fact of the same run has the value ``equals``."""

    id: str
    title: str
    phase: str = ""
    fact: str
    equals: int | str | bool


class StepEntry(_Section, title="[[step]]"):
    """A notebook of the runbook. ``alone``: nothing else runs beside it."""

    name: str
    title: str
    notebook: str
    alone: bool = False
    covers: tuple[str, ...] = ()


class Settings(_Section, title="runbook.toml"):
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
        gates = _unique("gate", "name", [entry.name for entry in self.gate])
        actions = _unique("action", "id", [entry.id for entry in self.action])
        criteria = _unique("criterion", "id", [entry.id for entry in self.criterion])
        _unique("step", "name", [entry.name for entry in self.step])
        for number, step in enumerate(self.step):
            for criterion in step.covers:
                _known("criterion", criterion, criteria, "step", number, "covers")
        for name, environment in self.environments.items():
            _known("gate", environment.gate, gates, "environments", name, "gate")
            for gate in environment.gates:
                _known("gate", gate, gates, "environments", name, "gates")
        for number, entry in enumerate(self.gate):
            for place, acceptance in enumerate(entry.accept):
                at = ("gate", number, "accept", place)
                _known("action", acceptance.action, actions, *at, "action")
            for place, borrowed in enumerate(entry.evidence):
                at = ("gate", number, "evidence", place)
                _known("criterion", borrowed.criterion, criteria, *at, "criterion")
                known = list(self.environments)
                _known("environment", borrowed.environment, known, *at, "environment")
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

    def relationships(self) -> Relationships:
        return relationships.read(self.path(self.project.relationships))

    def is_core(self, relationship: Relationship) -> bool:
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


def _unique(kind: str, key: str, names: Sequence[str]) -> Sequence[str]:
    for number, name in enumerate(names):
        if name in names[:number]:
            first = names.index(name)
            raise KeyedError((kind, number, key), f"{name!r} is already that of {kind}[{first}]")
    return names


def _known(kind: str, name: str, known: Sequence[str], *keys: int | str) -> None:
    if name not in known:
        choices = ", ".join(known) or "none is declared"
        raise KeyedError(keys, f"no {kind} {name!r}, expected one of: {choices}")


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
    place = (folder or find()).resolve()
    path = place / FILE_NAME
    text = declarations.read_text(path, "go to a project's folder")
    return declarations.parse(text, path, Settings).model_copy(update={"folder": place})
