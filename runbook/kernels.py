"""The kernels of a run: how they start, which of them live, and how they end.

They talk over Unix sockets in a private folder, not over open TCP ports. Each runs in a session of
its own, so a terminal's Ctrl-C does not reach it, and ends by itself within seconds when this
program is gone.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

GRACE_SECONDS = 10.0
AGAIN_SECONDS = 1.0  # a kernel that just starts, or is between two cells, ignores a SIGINT


class Kernels:
    """The kernels of one run, as a context manager: their folder is gone at its end.

    The folder's path must stay short: a socket's path has at most 107 bytes.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fkr-")
        self.folder = Path(self._folder.name)
        self.alive: set[LocalKernelManager] = set()
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        os.environ["JUPYTER_RUNTIME_DIR"] = str(self.folder)
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # ipykernel's debugger warns otherwise
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()

    @property
    def ending(self) -> bool:
        """Whether the run is being ended: no kernel is started any more."""
        return self._ending.is_set()

    def manager(self, said: Path) -> type[LocalKernelManager]:
        """The class of a kernel of this run; what it says on its standard error goes to ``said``.

        papermill makes the instance, so an own class carries what belongs to one kernel.
        """
        return type("KernelManager", (LocalKernelManager,), {"kernels": self, "said": said})

    def end(self, ended: Callable[[], bool], urgent: Callable[[], bool]) -> None:
        """Interrupt all kernels until ``ended``; kill those that are left after a grace time.

        An interrupted kernel cancels its statement on the server. ``urgent`` cuts the grace time
        short.
        """
        self._ending.set()
        grace = time.monotonic() + GRACE_SECONDS
        again = 0.0
        while not ended() and time.monotonic() < grace and not urgent():
            if time.monotonic() >= again:
                self._signal(signal.SIGINT)
                again = time.monotonic() + AGAIN_SECONDS
            time.sleep(0.05)
        while not ended():
            self._signal(signal.SIGKILL)
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        for manager in list(self.alive):
            process = getattr(manager.provisioner, "process", None)
            if process is not None and process.poll() is None:
                process.send_signal(number)


class LocalKernelClient(AsyncKernelClient):
    """Notes on its manager that the kernel has answered."""

    async def wait_for_ready(self, **options: Any) -> None:  # type: ignore[override] # ours waits
        await super().wait_for_ready(**options)
        assert isinstance(self.parent, LocalKernelManager)  # noqa: S101 - it made this client
        type(self.parent).answered = True


class LocalKernelManager(AsyncKernelManager):
    """One kernel of :class:`Kernels`; ``answered`` says whether it came to life."""

    kernels: ClassVar[Kernels]
    said: ClassVar[Path]
    answered: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        file = self.kernels.folder / f"k{uuid.uuid4().hex[:12]}.json"
        options |= {"transport": "ipc", "connection_file": str(file)}
        super().__init__(**options, client_class=f"{__name__}.{LocalKernelClient.__name__}")

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override] # ours waits
        if self.kernels.ending:
            raise RuntimeError("the run is being ended")
        with self.said.open("ab") as file:
            await super().start_kernel(**(options | {"stderr": file}))
        self.kernels.alive.add(self)

    async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]
        """Called when the kernel has ended, or was found dead."""
        await super().cleanup_resources(restart=restart)
        self.kernels.alive.discard(self)
