"""Modules import downwards only, stay short, and are named by what they are (read with ``ast``)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "runbook"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The table of the design: a module imports from its own row or from rows above it. A package
# stands for all that is in it. Modules of the design that do not exist yet have their row too.
ROWS = (
    (
        "errors schema relationships findings verdict environment redaction credentials"
        " declarations settings selftest fingerprint imports"
    ),
    (
        "session link connection passwords server refusals lock catalog embedded operators replica"
        " statistics grants privileges disposable"
    ),
    "prisma discovery",
    "census audit checks sql_blocks",
    "migration rehearsal remediation monitoring impact remedies",
    (
        "steps notebook run fleet evidence record judgement junit sarif measures interruption"
        " context auditing discovering doctor by_hand jupyter status"
        " kernels execution preflight resumption changes run_folders watching migrating"
    ),
    (
        "facts ledger past_runs charts erd report markup comparison site rehearsal_report"
        " rehearsal_notebook impact_report"
    ),
    (
        "cli commands demo progress messages completion manual command_reference terminal consent"
        " starting __main__"
    ),
)
ROW_OF = {name: number for number, row in enumerate(ROWS, 1) for name in row.split()}
PROJECTS = ("telecore", "references")  # they stand beside the rows

CONNECTORS = {"session", "embedded", "demo"}  # demo prepares databases, nothing else outside row 2
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "base", "manager", "core", "common", "misc"}
LONGEST_MODULE = 280
LONGEST_FUNCTION = 60


def name_of(path: Path) -> str:
    parts = ("runbook", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """``runbook.audit.engine`` is part of ``audit``; the package itself of ``""``."""
    return module.split(".")[1] if "." in module else ""


KNOWN = {name_of(path) for path in MODULES}


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules of this package that the code imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if part_of(alias.name))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {package}"
            if (node.module or "").split(".")[0] == "runbook":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in KNOWN else str(node.module)


def imported(path: Path) -> set[str]:
    found = imports(ast.parse(path.read_text()), name_of(path))
    return {module for module in found if module.split(".")[0] == "runbook"}


def wrong(importer: str, module: str) -> str:
    """Why ``importer`` may not import ``module``; empty where it may."""
    mine, theirs = part_of(importer), part_of(module)
    if not theirs or mine == theirs:
        return ""
    if mine == "references":
        return "references imports nothing of the rest"
    if theirs in PROJECTS:
        return f"nothing imports the project {theirs}"
    if mine in PROJECTS:
        return ""
    if mine not in ROW_OF or theirs not in ROW_OF:
        return "has no row in the design"
    return (
        f"row {ROW_OF[theirs]} is below row {ROW_OF[mine]}"
        if (ROW_OF[theirs] > ROW_OF[mine])
        else ""
    )


@pytest.mark.parametrize(
    ("importer", "module", "reason"),
    [
        ("runbook.schema", "runbook.catalog", "row 2 is below row 1"),
        ("runbook.audit.engine", "runbook.session", ""),
        ("runbook.site.pages", "runbook.telecore.demo", "nothing imports the project telecore"),
        ("runbook.telecore.planted", "runbook.session", ""),
        ("runbook.references", "runbook.errors", "references imports nothing of the rest"),
        ("runbook.helpers", "runbook.errors", "has no row in the design"),
        ("runbook.cli", "runbook", ""),
    ],
)
def test_the_rule_itself(importer: str, module: str, reason: str) -> None:
    assert wrong(importer, module) == reason


def test_imports_inside_functions_are_seen() -> None:
    code = "def f():\n    from runbook import cli\n    import runbook.session\n    import os\n"
    assert set(imports(ast.parse(code), "runbook.x")) == {"runbook.cli", "runbook.session"}


def test_every_module_has_a_row() -> None:
    parts = {part_of(name_of(path)) for path in MODULES} - {"", *PROJECTS}
    assert parts - set(ROW_OF) == set()


def test_modules_import_from_their_own_row_or_above() -> None:
    faults = [
        f"{name_of(path)} imports {module}: {reason}"
        for path in MODULES
        for module in sorted(imported(path))
        if (reason := wrong(name_of(path), module))
    ]
    assert faults == []


def test_the_project_is_named_only_where_it_is_loaded() -> None:
    """``telecore`` is imported by name alone, from runbook.toml: no product module knows it."""
    faults = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if part_of(name_of(path)) != "telecore"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("runbook.telecore")
    ]
    assert faults == []


def test_only_the_database_row_opens_connections() -> None:
    faults = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if part_of(name_of(path)) not in CONNECTORS
        for node in ast.walk(ast.parse(path.read_text()))
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("connect", "AsyncConnection", "ConnectionPool")
            and isinstance(node.value, ast.Name)
            and node.value.id == "psycopg"
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "psycopg"
            and "connect" in {alias.name for alias in node.names}
        )
    ]
    assert faults == []


def test_modules_are_short() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring, which may be a command's help."""
    first = node.body[0]
    prose = ast.get_docstring(node) is not None
    spoken = (first.end_lineno or 0) - first.lineno + 1 if prose else 0
    return (node.end_lineno or 0) - node.lineno + 1 - spoken


def test_functions_are_short() -> None:
    faults = [
        f"{name_of(path)}.{node.name}: {length(node)} lines"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length(node) >= LONGEST_FUNCTION
    ]
    assert faults == []


def test_names_say_something() -> None:
    names = {part for path in MODULES for part in name_of(path).split(".")}
    assert {name for name in names if name.strip("_") in EMPTY_NAMES} == set()
