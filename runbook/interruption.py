"""Ctrl-C, SIGTERM and a closed terminal end the work alike: what is finished is kept."""

from __future__ import annotations

import errno
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """How often the program was asked to end.

    The first time raises KeyboardInterrupt in the main thread. The second time only says that
    whoever cleans up should not wait for anything, and each further one raises again. Inside
    :meth:`held` nothing is raised before the end.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._held = False
        self._due = False

    @property
    def urgent(self) -> bool:
        """Whether the program was asked more than once."""
        return self._asked > 1

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signals."""
        if number == signal.SIGHUP:
            _leave_terminal()
        self._asked += 1
        if self._asked == 2:
            return
        if self._held:
            self._due = True
            return
        raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Finish what must not be left half done, and only then raise KeyboardInterrupt."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._due:
            raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Write nowhere what would go to a terminal that is gone: there every write is an error."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            termios.tcgetattr(stream.fileno())
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


@contextmanager
def terminable() -> Iterator[Interruption]:
    """While this lasts, the signals go to the :class:`Interruption` that it yields.

    A signal that is ignored stays so: ``nohup`` ignores SIGHUP, a shell's ``&`` SIGINT.
    """
    interruption = Interruption()
    previous: dict[signal.Signals, Callable[..., object] | int | None] = {}
    if threading.current_thread() is threading.main_thread():  # no other may handle signals
        previous = {
            number: signal.signal(number, interruption.ask)
            for number in SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            with suppress(TypeError):  # None: a handler that was not set from Python
                signal.signal(number, handler)
