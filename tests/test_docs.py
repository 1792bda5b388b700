"""The pages: every block runs, every command, check and fact exists, no figure stands alone."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql
from typer.main import get_command

from runbook import checks
from runbook import facts as all_facts
from runbook.cli import app
from runbook.errors import IncompleteError
from runbook.settings import read as read_settings
from runbook.site import documents, figures
from runbook.verdict import State
from tests.conftest import ROOT, Connect

DOCS = ROOT / "docs"
NO_PAGES = {"results", "examples"}  # made by a build; of other languages' packages
PAGES = sorted(p for p in DOCS.rglob("*.md") if not NO_PAGES & {*p.relative_to(DOCS).parts})
SHELL = {"sh", "bash", "shell", "console", "cron"}
PROGRAMS = {
    "cd",
    "createdb",
    "dask",
    "export",
    "git",
    "jupyter",
    "make",
    "npm",
    "papermill",
    "pip",
    "psql",
    "pytest",
    "python3",
    "runbook",
}
# checks that a step makes itself; every other one is a module
OF_STEPS = {"documents_complete", "key_cost"}

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_FACT = re.compile(r"""\b(?:fact|tick|state)\(\s*["']([^"']+)["']""")
_SNIPPET = re.compile(r'--8<-- "([^":]+)(?::([\w-]+))?"')
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_H1 = re.compile(r"^# .+", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language and its text."""

    page: Path
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*pages: Path) -> Iterator[Block]:
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found[2], found[3])


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def navigation() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return loaded


# --- pages ---------------------------------------------------------------------------------------


def test_the_navigation_has_every_page_and_no_other() -> None:
    listed = list(documents.named_in(navigation()["nav"]))
    written = {page.relative_to(DOCS).as_posix() for page in PAGES}
    assert len(listed) == len(set(listed))
    assert set(listed) == written | {"results/index.md"}


def test_the_plugins_are_in_the_order_that_keeps_results_out_of_the_templates() -> None:
    plugins = [
        entry if isinstance(entry, str) else next(iter(entry)) for entry in navigation()["plugins"]
    ]
    assert plugins == ["search", "runbook", "macros", "mkdocs-jupyter"]
    options: dict[str, dict[str, Any]] = {}
    for entry in navigation()["plugins"]:
        options |= entry if isinstance(entry, dict) else {}
    assert options["macros"]["render_by_default"] is False
    assert options["macros"]["on_undefined"] == "strict"
    assert options["mkdocs-jupyter"]["execute"] is False
    assert options["mkdocs-jupyter"]["allow_errors"] is False
    assert options["mkdocs-jupyter"]["include"] == ["*.ipynb"]
    assert navigation()["exclude_docs"].split() == ["examples/"]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_a_page_has_one_title_and_asks_for_macros_where_it_calls_them(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = _CODE.sub("", text)
    assert len(_H1.findall(prose)) == 1
    calls = "{{" in prose
    assert text.startswith("---\nrender_macros: true\n---\n") == calls
    # to a template this opens a comment, which would swallow the page
    assert not (calls and "{#" in text)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_no_figure_stands_alone(page: Path) -> None:
    assert figures.bare(page.read_text(encoding="utf-8")) == ()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=names)
def test_a_link_leads_to_a_file(page: Path) -> None:
    for target in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        path = target.partition("#")[0]
        if not path or "://" in target:
            continue
        assert not path.startswith("/"), target
        found = (page.parent / path).resolve()
        if DOCS / "results" not in found.parents:  # those are made from run records
            assert found.is_file(), target


# --- facts ---------------------------------------------------------------------------------------


def quoted() -> dict[str, list[str]]:
    """Every fact that a page quotes, with the pages that do."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for fact in _FACT.findall(page.read_text(encoding="utf-8")):
            found.setdefault(fact, []).append(names(page))
    return found


def test_every_fact_that_no_run_measures_is_known() -> None:
    settings = read_settings(ROOT)
    facts = all_facts.collect(settings)
    unknown = {
        name: pages
        for name, pages in quoted().items()
        if name.partition(".")[0] not in settings.environments and name not in facts.by_name
    }
    assert unknown == {}


def test_every_fact_of_an_environment_names_a_check_or_a_step_that_exists() -> None:
    settings = read_settings(ROOT)
    known = set(checks.of_project(settings)) | OF_STEPS
    found = {name for name in quoted() if name.partition(".")[0] in settings.environments}
    named = {name.split(".")[2] for name in found if name.split(".")[1] == "checks"}
    assert named - {"total", "passed"} <= known
    labels = {item.label for item in settings.relationships()}
    for name in found:
        parts = name.split(".")
        if parts[1] == "relationship":
            assert ".".join(parts[2:-1]) in labels, name
        if parts[1] in {"verdict", "accepted"}:
            gates = [gate.name for gate in settings.gates_of(settings.environment(parts[0]))]
            assert parts[2] in gates, name


def test_every_fact_is_measured_by_the_newest_runs() -> None:
    settings = read_settings(ROOT)
    try:
        facts = all_facts.collect(settings)
    except IncompleteError as error:
        pytest.skip(f"the run records cannot be read: {error.message}")
    absent = sorted(set(settings.environments) - set(facts.runs))
    if absent:
        pytest.skip(f"no run of {', '.join(absent)} is on record: make demo")
    unknown = {}
    for name, pages in quoted().items():
        try:
            facts[name]
        except IncompleteError as error:
            unknown[name] = (error.message, pages)
    assert unknown == {}


# --- code ----------------------------------------------------------------------------------------


def test_every_block_says_its_language() -> None:
    assert [block.place for block in blocks(*PAGES) if not block.kind] == []


def test_every_sql_block_runs_on_a_copy_of_staging(connect: Connect, scratch: str) -> None:
    found = [block for block in blocks(*PAGES) if block.kind == "sql"]
    assert len(found) >= 10
    faults = {}
    with connect(scratch, "telecore_owner") as owner:
        for block in found:
            try:
                with owner.transaction(force_rollback=True):
                    owner.execute(block.text.encode())
            except psycopg.Error as error:
                faults[block.place] = str(error)
    assert faults == {}


EXAMPLES = {"py": "python", "python": "python", "ts": "node", "typescript": "node"}


def test_every_python_and_typescript_block_is_a_tested_file() -> None:
    for block in blocks(*PAGES):
        if block.kind not in EXAMPLES:
            continue
        (line,) = block.text.split("\n")[:-1]
        snippet = _SNIPPET.fullmatch(line.strip())
        assert snippet is not None, block.place
        path, section = snippet.groups()
        text = (ROOT / path).read_text(encoding="utf-8")
        assert path.startswith(f"docs/examples/{EXAMPLES[block.kind]}/"), block.place
        for mark in ("start", "end"):
            assert section is None or f"--8<-- [{mark}:{section}]" in text, block.place


def test_every_toml_block_can_be_read() -> None:
    for block in blocks(*PAGES):
        if block.kind == "toml":
            tomllib.loads(block.text)


def commands(block: Block) -> Iterator[list[str]]:
    """The single commands of a shell block, without comments and prompts."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = line
        if block.kind == "cron" and line.strip():
            words = line.split(maxsplit=5)[5]
        for part in words.removeprefix("$ ").split("&&"):
            split = shlex.split(part, comments=True)
            if split:
                yield split


def shell_blocks() -> list[Block]:
    found = [block for block in blocks(*PAGES) if block.kind in SHELL]
    return found + [block for block in blocks(ROOT / "README.md") if block.kind in {*SHELL, ""}]


def test_every_command_in_the_documents_exists() -> None:
    found = shell_blocks()
    assert found
    faults = []
    for block in found:
        for words in commands(block):
            fault = fault_of(words)
            if fault:
                faults.append(f"{block.place}: {fault}")
    assert faults == []


def fault_of(words: list[str]) -> str:
    """What is wrong with a command, or an empty text."""
    program = Path(words[0]).name
    if program not in PROGRAMS:
        return f"unknown program {program!r}"
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        unknown = [word for word in words[1:] if "=" not in word and word not in targets]
        return f"no target {unknown[0]!r} in the Makefile" if unknown else ""
    if program == "npm":
        scripts = json.loads((DOCS / "examples/node/package.json").read_text())["scripts"]
        known = words[1:] in (["ci"], ["test"]) or (words[1] == "run" and words[2] in scripts)
        return "" if known else f"no script {' '.join(words[1:])!r} of npm"
    if program == "papermill":
        return "" if (ROOT / words[1]).is_file() else f"no notebook {words[1]!r}"
    return runbook_fault(words[1:]) if program == "runbook" else ""


def runbook_fault(words: list[str]) -> str:
    """What is wrong with the words after ``runbook``."""
    command: Any = get_command(app)
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            return f"no command {name!r} of runbook"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    unknown = [option for option in given if option not in options]
    if unknown:
        return f"no option {unknown[0]!r} of runbook {command.name}"
    if (
        command.name == "run"
        and words[0][:1] != "-"
        and words[0] not in read_settings(ROOT).environments
    ):
        return f"no environment {words[0]!r}"
    return ""


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("runbook run staging", ""),
        ("runbook run nowhere", "no environment 'nowhere'"),
        ("runbook run staging --dns x", "no option '--dns' of runbook run"),
        ("runbook repair", "no command 'repair' of runbook"),
        ("runbook site build", ""),
        ("runbook site open", "no command 'open' of runbook"),
        ("make demo SERVE=1", ""),
        ("npm run audit", ""),
        ("npm run coffee", "no script 'run coffee' of npm"),
        ("npm start", "no script 'start' of npm"),
        ("make coffee", "no target 'coffee' in the Makefile"),
        (".venv/bin/runbook demo", ""),
        ("papermill notebooks/none.ipynb out.ipynb", "no notebook 'notebooks/none.ipynb'"),
        ("curl https://example.org", "unknown program 'curl'"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, fault: str) -> None:
    assert fault_of(shlex.split(command)) == fault


def test_the_exit_codes_of_the_documents_are_those_of_the_verdicts() -> None:
    for name in ("validation-runbook.md", "reference/cli.md"):
        text = (DOCS / name).read_text(encoding="utf-8")
        rows = dict(re.findall(r"^\| `(\d)` \| (.+) \|$", text, re.MULTILINE))
        assert sorted(rows) == ["0", "1", "2", "3"]
        for state in State:
            assert re.search(rf"\b{state.value}\b", rows[str(state.exit_code)]), (name, state)


# --- the orphan audits ---------------------------------------------------------------------------

AUDITS = DOCS / "orphan-audits.md"
CRITICAL = (
    ("workflow_instances", "config_version_id"),
    ("workflow_instances", "workspace_id"),
    ("workflow_stages", "workflow_instance_id"),
    ("atp_submissions", "workflow_instance_id"),
    ("atp_scope_master", "workspace_id"),
    ("config_versions", "workspace_id"),
    ("punchlists", "workflow_instance_id"),
    ("approval_policy_master", "workspace_id"),
)


def audit_sql(text: str) -> list[str]:
    return [block.text for block in blocks(AUDITS) if text in block.text]


def the_audits() -> list[str]:
    """The query of each critical audit, in their order."""
    text = AUDITS.read_text(encoding="utf-8")
    return re.findall(
        r"^### Audit \d: [^\n]+\n.*?^```sql\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    )


def plant(owner: psycopg.Connection[Any], table: str, column: str) -> str:
    """Break one row's reference; its id."""
    gone = "gen_random_uuid()" if column == "workspace_id" else "'gone'"
    statement = sql.SQL(
        "UPDATE {table} SET {column} = {gone} WHERE id ="
        " (SELECT id FROM {table} WHERE {column} IS NOT NULL ORDER BY id LIMIT 1) RETURNING id"
    ).format(
        table=sql.Identifier("public", table),
        column=sql.Identifier(column),
        gone=sql.SQL(gone),
    )
    row = owner.execute(statement).fetchone()
    assert row is not None
    return str(row[0])


def test_the_audits_of_the_page_find_what_is_planted_and_nothing_else(
    connect: Connect, scratch: str
) -> None:
    queries = the_audits()
    assert len(queries) == len(CRITICAL)
    (report,) = audit_sql("WITH audit")
    with connect(scratch, "telecore_owner") as owner:
        clean = owner.execute(report.encode()).fetchall()
        assert [(row[1], row[3], row[4]) for row in clean] == [
            (f"{table}.{column}", 0, "clean") for table, column in CRITICAL
        ]
        assert [owner.execute(query.encode()).fetchall() for query in queries] == [[]] * 8
        owner.execute("ALTER TABLE config_versions DROP CONSTRAINT fk_config_versions_workspace_id")
        planted = [plant(owner, *relationship) for relationship in CRITICAL]
        found = [owner.execute(query.encode()).fetchall() for query in queries]
        assert [[row[0] for row in rows] for rows in found] == [[key] for key in planted]
        assert [row[3] for row in owner.execute(report.encode()).fetchall()] == [1] * 8


def test_the_alerts_of_the_report_are_those_of_the_relationships(
    connect: Connect, telecore_staging: str
) -> None:
    (report,) = audit_sql("WITH audit")
    alerts = {
        item.label: item.alert.value
        for item in read_settings(ROOT).relationships()
        if item.alert != "below"
    }
    with connect(telecore_staging, "telecore_reader") as reader:
        rows = reader.execute(report.encode()).fetchall()
    assert {row[1]: row[2] for row in rows} == alerts


def test_the_queries_that_are_called_wrong_are_wrong(
    connect: Connect, telecore_staging: str
) -> None:
    joins = audit_sql("LEFT JOIN")
    lists = audit_sql("parent_id")
    with connect(telecore_staging, "telecore_reader") as reader:
        counts = [reader.execute(query.encode()).fetchall() for query in joins]
        rows = [reader.execute(query.encode()).fetchall() for query in lists]
        nulls = reader.execute(
            "SELECT count(*) FROM public.atp_submissions WHERE workflow_instance_id IS NULL"
        ).fetchall()
    assert nulls > [(0,)]
    assert counts == [nulls, [(0,)]]
    assert rows == [[], [("gone",)]]
