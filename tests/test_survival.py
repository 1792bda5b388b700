"""What a run and an audit make of faults: nothing reads as success, and the rest can be done."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook.embedded import EmbeddedServer
from runbook.findings import Status
from runbook.kernels import GRACE_SECONDS
from runbook.record import RunRecord
from runbook.verdict import State
from tests import shop as shops
from tests.proxy import Proxy, proxy
from tests.shop import Shop, outcome, state

DEAF = (
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "Path('reached').touch()\ntime.sleep(60)"
)
"""A cell that no Ctrl-C ends."""
pytestmark = pytest.mark.slow
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server that a test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="fkr-test-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server") as own:
            yield own


@pytest.fixture
def shop(server: EmbeddedServer, tmp_path: Path) -> Shop:
    database = f"shop_{next(_numbers)}"
    folder = tmp_path / "shop"
    shops.make(folder)
    return Shop(folder, shops.make_database(server, database), server, database)


def test_an_undisturbed_run_is_go(shop: Shop) -> None:
    process = shop.start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = shop.record()
    assert outcome(found) == dict.fromkeys(("census", "orders", "verdict"), ("succeeded", ""))
    assert state(found) is State.GO
    assert {path.name for path in shop.runs()[-1].iterdir()} == {
        "census.ipynb", "junit.xml", "orders.ipynb", "run.json", "steps", "verdict.ipynb",
    }  # fmt: skip
    again = shop.start("--resume")
    _, err = again.communicate(timeout=60)
    assert again.returncode == 2
    assert err.endswith(
        "error: environment 'shop': nothing is left to resume: every step of its newest run"
        f" {found.run_id} succeeded and could look\nhint: start a new one: runbook run shop\n"
    )


# --- the program is ended -------------------------------------------------------------------------


def interrupted(shop: Shop, process: subprocess.Popen[str], seconds: float = 30) -> RunRecord:
    """See that a run that was ended by a person says so; its record."""
    _, err = process.communicate(timeout=seconds)
    assert process.returncode == 3, err
    assert err.endswith(
        f"error: interrupted; the record in {shop.runs()[-1]} says what was finished\n"
        "hint: do the rest: runbook run shop --resume\n"
    )
    found = shop.record()
    assert outcome(found) == {
        "census": ("succeeded", ""),
        "orders": ("failed", "interrupted"),
        "verdict": ("not run", "the run was interrupted before this step"),
    }
    assert state(found) is State.UNKNOWN
    return found


def resumed(shop: Shop, earlier: str, why_orders: str, taken: bool = True) -> None:
    """See that resuming reaches the verdict of an undisturbed run, and says what it took over."""
    done, found = shop.resume()
    assert state(found) is State.GO
    assert found.resumes == earlier
    origin = {step.name: (step.taken_from, step.run_again) for step in found.steps}
    assert origin["orders"] == ("", why_orders)
    if taken:
        census = found.steps[0]
        assert origin["census"] == (earlier, "")
        assert f"shop: census taken over from run {earlier}\n" in done.stderr
        assert census.finished is not None
        since = f"{census.finished:%Y-%m-%d %H:%M} UTC"
        (reason,) = found.verdicts[0].reasons
        assert reason == f"taken over from run {earlier}, looked at from {since} on: census"
        assert found.as_of == census.finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_and_its_kernels(shop: Shop, number: signal.Signals) -> None:
    process = shop.disturbed()
    kernels = shops.kernels(process.pid)
    assert kernels
    assert shop.sessions()
    process.send_signal(number)
    found = interrupted(shop, process)
    assert shops.live(kernels) == []
    assert shop.sessions() == []
    resumed(shop, found.run_id, "it had failed: interrupted")


def test_a_kernel_that_ignores_ctrl_c_is_killed(shop: Shop) -> None:
    process = shop.disturbed(DEAF)
    kernels = shops.kernels(process.pid)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    found = interrupted(shop, process)
    assert time.monotonic() - began > GRACE_SECONDS
    assert shops.live(kernels) == []
    resumed(shop, found.run_id, "it had failed: interrupted")


def test_ctrl_c_twice_does_not_wait(shop: Shop) -> None:
    process = shop.disturbed(DEAF)
    kernels = shops.kernels(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    interrupted(shop, process, GRACE_SECONDS - 2)
    assert shops.live(kernels) == []


def test_a_killed_program_leaves_no_record_and_no_kernel(shop: Shop) -> None:
    process = shop.disturbed()
    kernels = shops.kernels(process.pid)
    assert kernels
    process.kill()
    process.communicate(timeout=10)
    shops.until(lambda: shops.live(kernels) == [], 5)
    (folder,) = shop.runs()
    assert not (folder / "run.json").exists()
    shops.until(lambda: not shop.sessions())  # the statement goes on until it ends by itself
    resumed(shop, folder.name, "it had not come to its end")


def test_a_closed_terminal_leaves_a_record(shop: Shop) -> None:
    ours, theirs = os.openpty()
    process = shop.disturbed(
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    kernels = shops.kernels(process.pid)
    os.close(theirs)
    os.close(ours)
    process.wait(timeout=30)
    assert process.returncode == 3
    assert shops.live(kernels) == []
    found = shop.record()
    assert outcome(found)["orders"] == ("failed", "interrupted")
    assert state(found) is State.UNKNOWN
    resumed(shop, found.run_id, "it had failed: interrupted")


# --- a part of it is lost -------------------------------------------------------------------------


def unknown(shop: Shop, process: subprocess.Popen[str], why: str) -> RunRecord:
    """See that a run went on without ``orders`` and has no verdict; ``why`` is why it failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    found = shop.record()
    assert outcome(found)["census"] == ("succeeded", "")
    status, failure = outcome(found)["orders"]
    assert (status, why in failure) == ("failed", True), failure
    assert state(found) is State.UNKNOWN
    assert "shop  Ready: UNKNOWN\n" in out
    assert found.verdicts[0].reasons[0] == f"step orders failed: {failure}"
    return found


def test_a_killed_kernel(shop: Shop) -> None:
    process = shop.disturbed()
    (kernel,) = shops.kernels(process.pid)
    os.kill(kernel, signal.SIGKILL)
    found = unknown(shop, process, "died")
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


def test_a_terminated_session(shop: Shop) -> None:
    process = shop.disturbed()
    (backend,) = shop.sessions()
    with psycopg.connect(shop.server.conninfo()) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (backend,))
    found = unknown(shop, process, "AdminShutdown: terminating connection")
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


def blind(shop: Shop, process: subprocess.Popen[str], why: str) -> RunRecord:
    """See that ``orders`` came to its end without having looked, and that this is no verdict."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    found = shop.record()
    assert "shop  Ready: UNKNOWN\n" in out
    assert state(found) is State.UNKNOWN
    (check,) = found.checks
    assert (check.status, why in check.message) == (Status.COULD_NOT_LOOK, True), check.message
    return found


def test_a_session_lost_between_two_checks_is_no_success(shop: Shop) -> None:
    settings = shop.folder / "runbook.toml"
    settings.write_text(shops.TOML.replace('idle = "2s"', 'idle = "30s"'), encoding="utf-8")
    process = shop.disturbed(shops.UNTIL_TOLD)
    (backend,) = shop.sessions()
    with psycopg.connect(shop.server.conninfo()) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (backend,))
    (shop.folder / "told").touch()
    found = blind(shop, process, "terminating connection due to administrator command (57P01)")
    resumed(shop, found.run_id, "it could not look: types_aligned")


def test_a_restarted_server(shop: Shop) -> None:
    process = shop.disturbed()
    shop.server.close()
    shop.server.start()
    found = unknown(shop, process, "AdminShutdown: terminating connection")
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


def test_a_server_that_stays_down(shop: Shop) -> None:
    process = shop.disturbed()
    shop.server.close()
    try:
        unknown(shop, process, "AdminShutdown: terminating connection")
        assert outcome(shop.record())["verdict"][0] == "failed"
        folders = shop.runs()
        again = shop.start("--resume")
        _, err = again.communicate(timeout=60)
    finally:
        shop.server.start()
    assert again.returncode == 3
    assert "error: environment 'shop': cannot connect as reader: " in err
    assert shop.runs() == folders
    resumed(shop, folders[-1].name, f"it had failed: {outcome(shop.record())['orders'][1]}")


# --- the network ----------------------------------------------------------------------------------


@pytest.fixture
def network(shop: Shop) -> Iterator[Proxy]:
    """The network between the shop's runs and its server."""
    socket = Path(shop.server.address.host) / f".s.PGSQL.{shop.server.address.port}"
    with proxy(socket) as found:
        shop.dsn = shops.through(shop.dsn, found.port)
        yield found


def test_a_network_that_is_cut(shop: Shop, network: Proxy) -> None:
    process = shop.disturbed()
    network.cut()
    found = unknown(shop, process, "OperationalError: consuming input failed")
    assert outcome(found)["verdict"][0] == "failed"
    network.mend()
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


def test_a_network_that_swallows_everything(shop: Shop, network: Proxy) -> None:
    process = shop.disturbed()
    network.swallow()
    began = time.monotonic()
    found = unknown(shop, process, "OperationalError: no answer from the server for 6 s")
    assert time.monotonic() - began < 30
    network.mend()
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


# --- the machine ----------------------------------------------------------------------------------


def test_a_laptop_that_sleeps(shop: Shop) -> None:
    process = shop.disturbed(shops.UNTIL_TOLD)
    asleep = [process.pid, *shops.kernels(process.pid)]
    shops.signal_all(asleep, signal.SIGSTOP)
    shops.until(lambda: not shop.sessions())  # idle_in_transaction_session_timeout
    (shop.folder / "told").touch()
    shops.signal_all(asleep, signal.SIGCONT)
    found = blind(shop, process, "due to idle-in-transaction timeout (25P03)")
    resumed(shop, found.run_id, "it could not look: types_aligned")


BIG = "print('x' * 60_000)"


def test_a_file_that_must_not_grow(shop: Shop) -> None:
    process = shop.disturbed(
        BIG, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    )
    found = unknown(shop, process, "the executed notebook could not be written: File too large")
    resumed(shop, found.run_id, f"it had failed: {outcome(found)['orders'][1]}")


FILL = """
with open("runs/filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 512)
    except OSError as error:
        assert error.errno == 28, error  # no space left on device: as planned
"""


@pytest.fixture
def small_disk(shop: Shop) -> Iterator[Path]:
    """The folder of the shop's runs on a disk of 512 KiB."""
    folder = shop.folder / "runs"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(shop: Shop, small_disk: Path) -> None:
    shop.fault(FILL)
    process = shop.start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    (folder,) = shop.runs()
    assert err.endswith(
        f"error: {folder}: the run record could not be written: No space left on device\n"
        "hint: make room and do the rest with --resume; without its record this run counts for"
        " nothing\n"
    )
    assert not (folder / "run.json").exists()
    (small_disk / "filler").unlink()
    resumed(shop, folder.name, "it had not come to its end")


# --- an audit -------------------------------------------------------------------------------------


@contextmanager
def waiting_audit(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    """An audit that has read the catalog and waits for a quiet server."""
    with psycopg.connect(shop.server.conninfo(), autocommit=True) as other:
        busy = threading.Thread(target=_sleep, args=(other,))
        busy.start()
        process = shop.start("--max-load", "0", command="audit")
        with psycopg.connect(shop.server.conninfo(), autocommit=True) as admin:
            shops.until(lambda: admin.execute(WAITS).fetchone() != (0,))
        try:
            yield process
        finally:
            with suppress(psycopg.Error):
                other.cancel_safe()
            busy.join()


WAITS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE usename = 'shop_reader' AND query LIKE '%backend_type = ''client backend''%'
"""


def _sleep(session: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error):
        session.execute("SELECT pg_sleep(60)")


def could_not(shop: Shop, process: subprocess.Popen[str]) -> None:
    """See that an audit whose sessions were lost says so, and can be resumed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, (out, err)
    kept = shop.folder / "runs" / "shop" / "audit.json"
    if kept.exists():
        (audit,) = json.loads(kept.read_text(encoding="utf-8"))["audits"]
        assert audit["state"] == "could not look"
        assert (
            "shop: 0 orphan rows in what was looked at, 0 of 1 relationships looked at,"
            " not: orders.customer_id; " in out
        )
    else:  # nothing was counted
        assert "hint: " in err
        assert out == ""


def audited(shop: Shop) -> None:
    """See that an audit is clean again."""
    process = shop.start(command="audit")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("shop: 0 orphan rows, 1 of 1 relationships looked at; ")


def test_an_audit_on_a_restarted_server(shop: Shop) -> None:
    with waiting_audit(shop) as process:
        shop.server.close()
        shop.server.start()
        could_not(shop, process)
    audited(shop)


@pytest.mark.parametrize("lose", [Proxy.cut, Proxy.swallow])
def test_an_audit_without_a_network(
    shop: Shop, network: Proxy, lose: Callable[[Proxy], None]
) -> None:
    with waiting_audit(shop) as process:
        lose(network)
        could_not(shop, process)
    network.mend()
    audited(shop)


def test_an_audit_on_a_laptop_that_sleeps_goes_on_in_its_snapshot(shop: Shop) -> None:
    with waiting_audit(shop) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)  # longer than timeouts.idle
        assert len(shop.sessions()) == 1  # the one that holds the snapshot
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("shop: 0 orphan rows, 1 of 1 relationships looked at; ")


def test_ctrl_c_twice_keeps_what_an_audit_has_finished(shop: Shop) -> None:
    with waiting_audit(shop) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, (out, err)
    assert "interrupted: runbook audit shop --resume does the rest" in out
