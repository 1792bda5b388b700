"""``runbook init``: what it writes, what it refuses, and that a run and a site come of it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from psycopg import sql

from runbook import starting
from runbook.commands.init import without_password
from runbook.declarations import parse as parse_toml
from runbook.discovery.proposal import Evidence, Found, NotAKey, Proposal, Source, Tier
from runbook.errors import UsageError
from runbook.relationships import parse as parse_relationships
from runbook.schema import Action, Schema
from runbook.settings import Settings
from runbook.site import figures
from runbook.starting import declaring
from runbook.starting import files as starting_files
from tests.conftest import ROOT, Connect
from tests.places import HOSTILE, Dsn, Place
from tests.starting import RECORDS, SHARED, Beginner, database_of, password, shared_database
from tests.test_notebooks import LONGEST_CELL, SQL_WORDS

pytestmark = pytest.mark.slow

FILES = (
    ".github/workflows/runbook.yml",
    *(f"docs/assets/{p.name}" for p in sorted((ROOT / "docs" / "assets").iterdir())),
    "docs/decision.md",
    "docs/findings.md",
    "docs/index.md",
    "mkdocs.yml",
    "notebooks/00_preflight.ipynb",
    "notebooks/01_census.ipynb",
    "notebooks/02_type_alignment.ipynb",
    "notebooks/03_orphan_audit.ipynb",
    "notebooks/04_strategy.ipynb",
    "notebooks/05_verdict.ipynb",
    "relationships.toml",
    "runbook.toml",
)
STYLES = ("adventureworks", "airflow", "calcom", "hexpm", "tpch")
NOTHING = Schema({}, ())


@pytest.fixture(scope="module")
def records(connect: Connect, dsn: Dsn) -> Iterator[str]:
    """The reader's connection string of the record shop."""
    with database_of(connect, dsn, RECORDS) as text:
        yield text


@pytest.fixture
def beginner(tmp_path: Path, records: str) -> Beginner:
    return Beginner(tmp_path, records)


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- the command ---------------------------------------------------------------------------------


def test_it_writes_a_project_and_says_what_to_do_next(beginner: Beginner) -> None:
    done = beginner("init", "--dsn", beginner.dsn, "--title", "Records")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[1] == "6 tables, 6 of them can be read; 2 foreign keys"
    assert said[2].startswith(("5 relationships: 2 from foreign keys, 3", "2 relationships: 2"))
    assert said[3] == (
        f"wrote {len(FILES) + 1} files in {beginner.folder}: .github/workflows/runbook.yml,"
        " .gitignore, docs/, mkdocs.yml, notebooks/, relationships.toml, runbook.toml"
    )
    assert said[4] == "next:"
    assert said[5].startswith("  export STAGING_DATABASE_URL=")
    assert said[6:8] == ["  runbook run staging", "  runbook site build"]
    assert said[8] == "the password belongs into libpq's passfile, or into PGPASSWORD"
    assert "init: reads the planner's statistics" in done.stderr.splitlines()
    assert set(written(beginner.folder)) == {*FILES, ".gitignore"}


def test_nothing_of_telecore_and_no_password_is_in_it(beginner: Beginner) -> None:
    done = beginner("init", "--dsn", beginner.dsn)
    assert done.returncode == 0, done.stderr
    text = "\n".join(written(beginner.folder).values())
    assert password() not in text + done.stdout + done.stderr
    assert "telecore" not in text.lower()
    assert str(ROOT) not in text
    assert re.findall(r"@[A-Z]+@", text) == []


def test_what_is_there_is_not_overwritten(beginner: Beginner) -> None:
    (beginner.folder / "docs").mkdir()
    (beginner.folder / "docs" / "index.md").write_text("ours")
    (beginner.folder / "runbook.toml").symlink_to("nowhere")
    (beginner.folder / ".github").write_text("in the way")
    done = beginner("init", "--dsn", beginner.dsn)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: in '.' there are already: .github, docs/index.md, runbook.toml",
        "hint: go to an empty folder, or name a new one: runbook init FOLDER",
    ]
    assert set(written(beginner.folder)) == {".github", "docs/index.md"}
    assert (beginner.folder / "docs" / "index.md").read_text() == "ours"


def test_a_gitignore_stays_and_its_missing_lines_are_told(beginner: Beginner) -> None:
    (beginner.folder / ".gitignore").write_text("*.log\n/site/\n")
    done = beginner("init", "--dsn", beginner.dsn)
    assert done.returncode == 0, done.stderr
    assert "add to .gitignore: /runs/ /changes/ /docs/results/" in done.stdout.splitlines()
    assert (beginner.folder / ".gitignore").read_text() == "*.log\n/site/\n"


def test_a_folder_a_name_and_schemas_can_be_given(beginner: Beginner) -> None:
    words = ("init", "new/shop", "--name", "live-eu", "--schema", "public", "--title", "Shop: no")
    done = beginner(*words, "--dsn", beginner.dsn)
    assert done.stderr.splitlines() == [
        "error: not a title: 'Shop: no', expected letters, digits, spaces, dots and dashes",
        "hint: name it as in: runbook init --title 'Shop'",
    ]
    done = beginner(*words[:-1], "Shop", LIVE_EU_DATABASE_URL=beginner.dsn)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4:] == [
        "next:",
        "  cd new/shop",
        "  runbook run live-eu",
        "  runbook site build",
    ]
    project = tomllib.loads((beginner.folder / "new/shop/runbook.toml").read_text())
    assert project["project"]["title"] == "Shop"
    assert project["project"]["schemas"] == ["public"]
    assert project["environments"] == {
        "live-eu": {
            "title": "Live-eu",
            "gate": "ready",
            "fresh_for": "7d",
            "reader": {"variable": "LIVE_EU_DATABASE_URL"},
        }
    }


@pytest.mark.parametrize("name", ["Staging", "a b", "../x", "project", "", "x" * 41])
def test_a_name_that_cannot_be_used(name: str) -> None:
    with pytest.raises(UsageError) as error:
        starting.Start(name, "Shop")
    assert error.value.message == (
        f"not a name for an environment: {name!r}, expected small letters, digits, _ and -, and"
        " none of: bench, fleet, history, ledger, limits, project, relationships, schema"
    )
    assert error.value.hint == "name it as in: runbook init --name staging"


def test_without_a_connection_string_and_a_terminal(beginner: Beginner) -> None:
    done = beginner("init")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: no connection string is given",
        "hint: runbook init --dsn 'host=… dbname=… user=…', or export STAGING_DATABASE_URL",
    ]
    assert written(beginner.folder) == {}


def test_on_a_terminal_it_asks(beginner: Beginner) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*beginner.program, "init", "--title", "Records"],
        cwd=beginner.folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG", "STAG"))}
        | beginner.variables,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"live\n{beginner.dsn}\n".encode())
    out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    assert err.startswith(
        "name of the environment [staging]:connection string (host=… dbname=… user=…):"
    )
    assert "  runbook run live" in out.splitlines()


def test_a_superuser_is_refused_and_can_be_allowed(
    beginner: Beginner, dsn: Dsn, records: str
) -> None:
    database = dict(part.split("=", 1) for part in records.split() if "=" in part)["dbname"]
    done = beginner("init", "--dsn", dsn(database, None))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        "error: 'postgres' is a superuser, expected a role that may only read",
        "hint: connect as another role, or allow this one: runbook init --superuser",
    ]
    assert written(beginner.folder) == {}
    assert beginner("init", "--superuser", "--dsn", dsn(database, None)).returncode == 0
    text = (beginner.folder / "runbook.toml").read_text()
    assert tomllib.loads(text)["environments"]["staging"]["superuser"] is True


def test_a_schema_without_tables(beginner: Beginner) -> None:
    done = beginner("init", "--schema", "nowhere", "--dsn", beginner.dsn)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        "error: no table in the schemas nowhere that 'telecore_reader' can see",
        "hint: check the database's name and --schema",
    ]


def test_a_server_that_is_not_there(beginner: Beginner) -> None:
    done = beginner("init", "--dsn", "host=/nowhere dbname=x user=y password=canary-of-init")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2].startswith(
        "error: environment 'staging': cannot connect as reader: "
    )
    assert "canary-of-init" not in done.stderr
    assert written(beginner.folder) == {}


def test_what_may_not_be_read_is_said(place: Place) -> None:
    place.run(
        "CREATE TABLE open (id int); CREATE TABLE closed (id int);"
        "ALTER TABLE closed ENABLE ROW LEVEL SECURITY"
    )
    seen = starting.look(place.environment(), [place.schema])
    assert seen.sentences()[1:] == (
        "2 tables, 2 of them can be read; 0 foreign keys",
        f"row security hides rows, so these cannot be counted: {place.schema}.closed",
    )


ORDERS = """
    CREATE TABLE people (id int PRIMARY KEY);
    CREATE TABLE parcels (id int PRIMARY KEY, addressee int NOT NULL, people_ref int);
    INSERT INTO people SELECT generate_series(1, 400);
    INSERT INTO parcels SELECT n, 1 + n % 400, 1 + n % 400 FROM generate_series(1, 900) n;
    CREATE VIEW sent AS SELECT p.id FROM parcels p JOIN people o ON o.id = p.addressee;
    ANALYZE;
"""


def test_rows_and_joins_are_evidence_unless_they_are_not_to_be_read(place: Place) -> None:
    place.run(ORDERS)
    steps: list[str] = []

    def evidence(*, rows: bool) -> list[str]:
        seen = starting.look(place.environment(), [place.schema], say=steps.append, rows=rows)
        items = seen.looked.found.proposals
        return [str(e) for item in items if item.columns == ("addressee",) for e in item.evidence]

    assert evidence(rows=False) == []
    assert steps == []
    assert evidence(rows=True)[2:] == [
        "data: every row has a parent, of about 900",
        f"use: joined in view {place.schema}.sent",
    ]
    assert steps == [
        "reads the planner's statistics",
        "reads the joins in views, functions and statements",
        "counts the orphan rows of 4 candidates",
    ]


def test_a_partition_is_no_table_of_its_own(place: Place) -> None:
    """What refers to another table is the partitioned table, and its key is its partitions' key."""
    place.run(
        "CREATE TABLE tenants (id int PRIMARY KEY);"
        "CREATE TABLE events (id int, tenant_id int, PRIMARY KEY (id, tenant_id))"
        " PARTITION BY RANGE (tenant_id);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (5)"
        " PARTITION BY RANGE (tenant_id);"
        "CREATE TABLE events_11 PARTITION OF events_1 FOR VALUES FROM (1) TO (2)"
    )
    found = starting.look(place.environment(), [place.schema]).looked.found
    assert [item.relationship.label for item in found.proposals] == [
        f"{place.schema}.events.tenant_id"
    ]
    place.run("ALTER TABLE events ADD FOREIGN KEY (tenant_id) REFERENCES tenants")
    seen = starting.look(place.environment(), [place.schema])
    assert seen.looked.found.proposals == ()
    assert [item.source for item in declaring.of_keys(seen.schema)] == [
        f"{place.schema}.events(tenant_id)"
    ]


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("VALIDATE CONSTRAINT k", ""),
        ("ENABLE TRIGGER ALL", ", which was never validated"),
        ("DISABLE TRIGGER ALL", ", whose triggers are disabled"),
        ("ALTER CONSTRAINT k NOT ENFORCED", ", which is NOT ENFORCED"),
    ],
)
def test_a_key_that_does_not_hold_is_no_enforced_one(place: Place, does: str, said: str) -> None:
    place.run(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p_id int);"
        "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p_id) REFERENCES p NOT VALID"
    )
    place.run(f"ALTER TABLE c {does}", role=None)
    (item,) = declaring.of_keys(starting.look(place.environment(), [place.schema]).schema)
    assert item.why == f"the database has the key k{said}"


def test_schema_prisma_is_a_source(beginner: Beginner) -> None:
    (beginner.folder / "schema.prisma").write_text(
        "model customer {\n customer_id Int @id\n invoices invoice[]\n}\n"
        "model invoice {\n invoice_id Int @id\n customer_id Int\n"
        " customer customer @relation(fields: [customer_id], references: [customer_id])\n}\n"
    )
    done = beginner("init", "--prisma", "schema.prisma", "--dsn", beginner.dsn)
    assert done.returncode == 0, done.stderr
    text = (beginner.folder / "relationships.toml").read_text()
    found = parse_relationships(text, Path("relationships.toml"))
    (item,) = (one for one in found if one.label == "invoice.customer_id")
    assert (item.target, item.on_delete) == ("customer.customer_id", Action.RESTRICT)
    assert item.why.startswith("invoice.customer is a relation at schema.prisma:8")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("host=h dbname=d user=u password='x y'", "user=u dbname=d host=h"),
        ("postgresql://u:secret@h:5433/d?sslpassword=z", "user=u dbname=d host=h port=5433"),
        ("service=shop", "service=shop"),
    ],
)
def test_a_connection_string_is_shown_without_its_password(given: str, shown: str) -> None:
    assert without_password(given) == shown


# --- the files -----------------------------------------------------------------------------------


def test_a_file_that_comes_into_being_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("theirs")
    with pytest.raises(FileExistsError):
        starting.write(tmp_path, {"a": b"ours", "b": b"ours"})
    assert written(tmp_path) == {"b": "theirs"}


def test_the_settings_are_read_as_they_are_written() -> None:
    content = starting.content(starting.Start("staging", "Shop"), NOTHING, Found(()))
    assert tuple(content) == (FILES[0], ".gitignore", *FILES[1:])
    settings = parse_toml(content["runbook.toml"].decode(), Path("runbook.toml"), Settings)
    notebooks = [name for name in content if name.endswith(".ipynb")]
    assert [f"notebooks/{step.notebook}" for step in settings.step] == notebooks
    for step in settings.step:
        text = content[f"notebooks/{step.notebook}"].decode()
        assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
        first, parameters, opening, *rest = nbformat.reads(text, as_version=4).cells
        assert first.source.startswith(f"# {step.title}\n")
        assert parameters.source == 'environment: str = "staging"\nrun_folder: str = ""'
        assert f'open_step("{step.name}", environment, run_folder)' in opening.source
        assert rest[-1].source == "step.finish()"
        for cell in (*rest, opening):
            if cell.cell_type == "code":
                assert len(cell.source.splitlines()) <= LONGEST_CELL
                assert not any(word in cell.source.lower() for word in SQL_WORDS)


def test_the_pages_are_in_the_navigation_and_hold_no_figure() -> None:
    content = starting.content(starting.Start("staging", "Shop"), NOTHING, Found(()))
    config = yaml.safe_load(content["mkdocs.yml"])
    pages = {name.removeprefix("docs/") for name in content if name.endswith(".md")}
    assert {next(iter(entry.values())) for entry in config["nav"]} == {*pages, "results/index.md"}
    for page in pages:
        assert figures.bare(content[f"docs/{page}"].decode()) == ()
    ours = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    for section in ("theme", "extra", "validation", "extra_css", "extra_javascript"):
        assert config[section] == ours[section]


def test_the_workflow_uses_the_same_actions_and_is_sound(tmp_path: Path) -> None:
    content = starting.content(starting.Start("staging", "Shop"), NOTHING, Found(()))
    workflow = tmp_path / FILES[0]
    workflow.parent.mkdir(parents=True)
    workflow.write_bytes(content[FILES[0]])
    ours = "\n".join(
        path.read_text() for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    )
    loaded = yaml.safe_load(content[FILES[0]])
    used = [step["uses"] for step in loaded["jobs"]["run"]["steps"] if "uses" in step]
    assert used
    assert all(action in ours for action in used)
    zizmor = Path(sys.executable).parent / "zizmor"
    if not zizmor.exists():
        pytest.skip("zizmor is not installed: pip install zizmor")
    found = subprocess.run(
        [zizmor, "--offline", "--quiet", tmp_path / ".github"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_what_is_not_sure_is_a_comment_that_can_be_taken(place: Place) -> None:
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE a (b int, c int)")
    schema = place.read()
    items = [
        Proposal(
            place.name("a"), (column,), place.name("p"), ("id",), 0.9, tier,
            (Evidence(Source.NAMES, "b\nis like p"),), Action.RESTRICT, "it is required",
        )
        for column, tier in (("b", Tier.ACCEPTED), ("c", Tier.LIKELY), ("d", Tier.POSSIBLE))
    ]  # fmt: skip
    remark = NotAKey(place.name("a"), ("line\nbreak",), "it has\x01a type beside it")
    text = declaring.text(schema, Found(tuple(items), (remark,), (remark,)))
    found = parse_relationships(text, Path("relationships.toml"))
    assert [item.columns for item in found] == [("b",)]
    assert found.items[0].why == "b\nis like p"
    assert text.partition("# --- Proposed")[2].startswith(
        ", and sure enough to be taken (1)\n\n# confidence 0.90\n# names and types: b is like p\n"
        "# it is required\n[[relationship]]\n"
    )
    assert text.endswith(
        f"# --- Look like references to tables that are not here\n# {place.schema}.a(line break):"
        " it has a type beside it\n"
    )
    head, _, likely = text.partition("# --- Likely")
    bare = "\n".join(
        line.removeprefix("# ").removeprefix("# ") if "=" in line or "[[" in line else line
        for line in likely.splitlines()
    )
    taken = parse_relationships(f"{head}# {bare}", Path("relationships.toml"))
    assert [item.columns for item in taken] == [("b",), ("c",)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_comes_back_as_it_was(place: Place, name: str) -> None:
    table = sql.Identifier(place.schema, name)
    statement = sql.SQL(
        "CREATE TABLE {} (id int PRIMARY KEY, {} int REFERENCES {} ON DELETE SET NULL)"
    ).format(table, sql.Identifier(name), table)
    with place.connect(place.database, "telecore_owner") as owner:
        owner.execute(statement)
    text = declaring.text(place.read(), Found(()))
    (item,) = parse_relationships(text, Path("relationships.toml"))
    assert (item.child, item.columns, item.parent) == (place.name(name), (name,), place.name(name))
    assert item.on_delete is Action.SET_NULL


def test_a_hostile_databases_name_is_no_title() -> None:
    assert starting_files.plain_title("shop 2.0") == "shop 2.0"
    assert starting_files.plain_title("<script>{{ 7 * 7 }}") == "Database"


# --- through to the site -------------------------------------------------------------------------


def to_the_site(beginner: Beginner, missing: bool) -> None:
    """The run says NO-GO exactly where a relationship has no key, and the site is built."""
    run = beginner.connected("run", "staging")
    assert run.returncode == int(missing), run.stdout + run.stderr
    build = beginner("site", "build")
    assert build.returncode == 0, build.stderr
    site = beginner.folder / "site"
    assert "NO-GO" in (site / "index.html").read_text() or not missing
    assert (site / "decision" / "index.html").is_file()


def has_missing(folder: Path) -> bool:
    text = (folder / "relationships.toml").read_text()
    return "# --- Proposed" in text


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a clean environment that has the wheel, and of this one what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    hatchling = Path(sys.executable).parent / "hatchling"
    if not hatchling.exists():
        pytest.skip("hatchling is not installed: pip install hatchling")
    subprocess.run(
        [hatchling, "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel], check=True
    )
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # the path of this environment comes last, and its .pth files are not read: the checkout is not
    # in it, and the package is that of the wheel
    own = Path(shutil.__file__).parent / "site-packages"
    theirs = next(Path(p) for p in sys.path if p.endswith("site-packages") and Path(p) != own)
    (packages / "dependencies.pth").write_text(f"{theirs}\n")
    return folder / "venv" / "bin" / "runbook"


@pytest.mark.slow
@pytest.mark.parametrize("name", STYLES)
def test_from_the_wheel_on_schemas_of_different_styles(
    installed: Path, tmp_path: Path, connect: Connect, dsn: Dsn, name: str
) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared schemas are not here")
    where = subprocess.run(
        [installed.parent / "python", "-c", "import runbook; print(runbook.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert installed.parent.parent in Path(where.stdout).parents
    with shared_database(connect, dsn, name) as text:
        share = Path(sys.prefix) / "share" / "jupyter"  # what the dependencies have beside packages
        beginner = Beginner(tmp_path, text, (str(installed),), {"JUPYTER_PATH": str(share)})
        done = beginner("init", "--dsn", text)
        assert done.returncode == 0, done.stderr
        to_the_site(beginner, has_missing(tmp_path))
