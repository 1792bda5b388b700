"""The package in docs/examples/node: its types, its tests, and its audit against real servers.

Without Node 20 or newer the tests are skipped and say so; with RUNBOOK_NODE=required they fail.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from psycopg import conninfo

from runbook.relationships import Alert
from tests.conftest import ROOT, Connect
from tests.places import OWNER, Dsn, scratch_database
from tests.watched import Server, Watched

NODE = ROOT / "docs" / "examples" / "node"
PRISMA = ROOT / "docs" / "examples" / "node-prisma"
PLACE = ROOT / "build" / "node"  # what npm installs is shared by all test processes
NEEDS = "needs Node 20 or newer and npm"
UNREACHABLE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")
COPIED = ("src", "test", "package.json", "tsconfig.json", "tsconfig.build.json", "vitest.config.ts")
Package = Callable[[Path], Path]


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        words,
        cwd=folder,
        env=clean | {"NO_COLOR": "1"} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def unfit() -> str:
    """Why this machine's Node cannot run the package; empty when it can."""
    if not (shutil.which("node") and shutil.which("npm")):
        return f"{NEEDS}, got none on the path"
    version = run(ROOT, "node", "--version").stdout.strip()
    return "" if int(version.lstrip("v").partition(".")[0]) >= 20 else f"{NEEDS}, got {version}"


def absent(reason: str) -> None:
    """Skip, or fail where Node is required."""
    if os.environ.get("RUNBOOK_NODE") == "required":
        pytest.fail(reason)
    pytest.skip(f"the TypeScript examples were not tested: {reason}")


def installed(package: Path) -> Path:
    """The folder of what the package's lock file names, installed once for each lock file."""
    folder = PLACE / package.name
    folder.mkdir(parents=True, exist_ok=True)
    lock = (package / "package-lock.json").read_bytes()
    stamp, digest = folder / ".installed", hashlib.sha256(lock).hexdigest()
    with (folder / ".lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(package / name, folder / name)
            done = run(folder, "npm", "ci")
            if done.returncode and (found := UNREACHABLE.search(done.stderr)):
                absent(f"npm cannot reach its registry ({found[0]})")
            assert done.returncode == 0, done.stderr
            stamp.write_text(digest)
    return folder / "node_modules"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package beside what it reads of this checkout, with its dependencies."""
    if reason := unfit():
        absent(reason)
    checkout = tmp_path_factory.mktemp("checkout")
    copy = checkout / NODE.relative_to(ROOT)
    copy.mkdir(parents=True)
    for name in COPIED:
        whole = (NODE / name).is_dir()
        (shutil.copytree if whole else shutil.copy)(NODE / name, copy / name)
    for name in ("tests/cases", "runbook/telecore/sql"):
        shutil.copytree(ROOT / name, checkout / name)
    (copy / "node_modules").symlink_to(installed(NODE))
    return copy


def variables(dsn: str) -> dict[str, str]:
    """The connection string as libpq's variables."""
    parts = conninfo.conninfo_to_dict(dsn)
    names = ("host", "port", "user", "password")
    found = {f"PG{name.upper()}": str(parts[name]) for name in names if parts.get(name)}
    return found | {"PGDATABASE": str(parts["dbname"])}


@pytest.fixture
def database(connect: Connect, dsn: Dsn) -> Iterator[dict[str, str]]:
    """An empty database of the owner, as libpq's variables."""
    with scratch_database(connect) as name:
        yield variables(dsn(name, OWNER))


def test_the_types_hold_and_every_case_passes(package: Path, database: dict[str, str]) -> None:
    done = run(package, "node_modules/.bin/tsc")
    assert (done.returncode, done.stdout) == (0, "")
    done = run(package, "node_modules/.bin/vitest", "run", "--reporter=json", **database)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    cases = json.loads((ROOT / "tests/cases/references.json").read_text(encoding="utf-8"))["cases"]
    results = [result for file in found["testResults"] for result in file["assertionResults"]]
    passed = {result["title"] for result in results if result["status"] == "passed"}
    assert {case["name"] for case in cases} <= passed
    assert found["numPassedTests"] == found["numTotalTests"]


@pytest.mark.slow
@pytest.mark.timeout(240)  # npm writes hundreds of megabytes
def test_prismas_client_passes_the_same_checks(package: Path, database: dict[str, str]) -> None:
    copy = package.parent / PRISMA.name
    shutil.copytree(
        PRISMA, copy, ignore=shutil.ignore_patterns("node_modules", "build", "generated")
    )
    (copy / "node_modules").symlink_to(installed(PRISMA))
    (copy / "build").mkdir()
    shutil.copy(ROOT / "runbook" / "telecore" / "schema.prisma", copy / "build")
    # generating needs no schema engine, and one that is named is not downloaded
    node = shutil.which("node") or ""
    done = run(copy, "node_modules/.bin/prisma", "generate", PRISMA_SCHEMA_ENGINE_BINARY=node)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(copy, "node_modules/.bin/tsc")
    assert (done.returncode, done.stdout) == (0, "")
    done = run(copy, "node_modules/.bin/vitest", "run", "--reporter=json", **database)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["numPassedTests"] >= 5


# --- the audit -----------------------------------------------------------------------------------

PAIR = """
    CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY, p int);
    INSERT INTO p VALUES (1);
    INSERT INTO c VALUES (1, 1)
"""


@dataclass
class Hook:
    """A webhook: what it was sent, and what it answers."""

    url: str = ""
    code: int = 200
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.texts.append(json.loads(body)["text"])
            self.send_response(found.code)
            self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Nothing: pytest shows what was sent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/secret"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Auditor:
    """The built command against a watched schema."""

    folder: Path
    given: dict[str, str]

    def __call__(self, **changed: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, "node", "dist/audit-command.js", **(self.given | changed))


@pytest.fixture
def audit(package: Path, server: Server, watched: Watched, hook: Hook) -> Auditor:
    if not (package / "dist").exists():
        done = run(package, "node_modules/.bin/tsc", "--project", "tsconfig.build.json")
        assert (done.returncode, done.stdout) == (0, "")
    watched.place.run(PAIR)
    watched.declare(watched.place.relationship("c", "p", "p", "id", alert=Alert.CRITICAL))
    watched.install()
    given = variables(server.dsn(watched.place.database, OWNER))
    return Auditor(package, given | {"AUDIT_SCHEMA": watched.schema, "ALERT_WEBHOOK": hook.url})


def test_the_audit_tells_nobody_while_all_is_well(audit: Auditor, hook: Hook) -> None:
    done = audit()
    said = "relationships: 1 clean, 0 with orphan rows, 0 not looked, 0 could not look\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert hook.texts == []


def test_the_audit_alerts_on_orphan_rows(audit: Auditor, watched: Watched, hook: Hook) -> None:
    watched.place.run("INSERT INTO c VALUES (2, 7), (3, 8)")
    done = audit()
    name = f"{watched.place.schema}.c(p)"
    text = (
        f"critical: {name} -> {watched.place.schema}.p(id): 2 orphan rows, the threshold is 0\n"
        "relationships: 0 clean, 1 with orphan rows, 0 not looked, 0 could not look"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{text}\n", "")
    assert hook.texts == [text.replace(">", "&gt;")]


def test_what_could_not_be_counted_is_told_and_is_not_clean(
    audit: Auditor, watched: Watched, hook: Hook
) -> None:
    watched.place.run("DROP TABLE p")
    done = audit()
    assert done.returncode == 3
    assert "could not look: relation" in done.stdout
    assert done.stdout.endswith("0 clean, 0 with orphan rows, 0 not looked, 1 could not look\n")
    assert len(hook.texts) == 1


def test_an_audit_that_cannot_run_is_told(audit: Auditor, hook: Hook) -> None:
    done = audit(AUDIT_SCHEMA='no"where')
    text = 'the audit could not run: schema "no"where" does not exist (3F000)'
    assert (done.returncode, done.stdout) == (3, f"{text}\n")
    assert hook.texts == [text]
    done = audit(PGPORT="1")
    assert done.returncode == 3
    assert done.stdout.startswith("the audit could not run: ")
    assert len(hook.texts) == 2


@pytest.mark.parametrize("code", [404, 302])
def test_an_alert_that_was_not_delivered_is_no_success(
    audit: Auditor, watched: Watched, hook: Hook, code: int
) -> None:
    watched.place.run("INSERT INTO c VALUES (2, 7)")
    hook.code = code
    done = audit()
    assert done.returncode == 3
    assert done.stderr == f"the webhook did not take the alert: HTTP {code}\n"
    assert len(hook.texts) == 1
    assert hook.url not in done.stdout + done.stderr


@pytest.mark.parametrize("address", ["", "no address", "http://example.org/x", "ftp://localhost/x"])
def test_an_address_that_is_no_webhook_is_wrong_usage(audit: Auditor, address: str) -> None:
    done = audit(ALERT_WEBHOOK=address)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "expected an https address in ALERT_WEBHOOK, got none;"
        " export it from where you keep secrets\n"
    )


# --- the lock files ------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [NODE, PRISMA], ids=lambda folder: folder.name)
def test_the_lock_has_a_version_and_a_hash_of_each_package_and_no_address(folder: Path) -> None:
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in locked["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["version"], name
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    root = locked["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert root.get(kind) == wanted.get(kind)


def test_an_old_node_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNBOOK_NODE", raising=False)
    monkeypatch.setenv("PATH", "")
    assert unfit() == "needs Node 20 or newer and npm, got none on the path"
    with pytest.raises(pytest.skip.Exception, match="the TypeScript examples were not tested: x"):
        absent("x")
    monkeypatch.setenv("RUNBOOK_NODE", "required")
    with pytest.raises(pytest.fail.Exception, match=r"^x$"):
        absent("x")
