"""A network between a program and a server that the test can lose in every way.

It listens on a TCP port of this machine and forwards to the Unix socket of a server.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = 65536


class Proxy:
    """``port`` is where it listens; :meth:`cut`, :meth:`swallow` and :meth:`mend` lose and mend it.

    While it swallows, bytes are taken and go nowhere, and new connections get no answer: TCP itself
    sees nothing of that.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._answering = threading.Event()
        self._answering.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        self._stop_listening()
        self._close_all()

    def swallow(self) -> None:
        """Stop forwarding without closing anything."""
        self._flowing.clear()

    def silence(self) -> None:
        """Go on forwarding to the server, and nothing of what it answers."""
        self._answering.clear()

    def mend(self) -> None:
        """Close what is left of before, and forward again."""
        self._close_all()
        self._answering.set()
        self._flowing.set()
        if not self._open.is_set():
            self._listener = self._listen(self.port)

    def close(self) -> None:
        """End all of it."""
        self.cut()
        self._flowing.set()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        self._open.set()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _stop_listening(self) -> None:
        self._open.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up accept()
        self._listener.close()

    def _close_all(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._target))
            except OSError:
                client.close()  # the server is down
                continue
            self._pairs.append((client, server))
            for ends in ((client, server, self._flowing), (server, client, self._answering)):
                threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, way: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if self._flowing.is_set() and way.is_set():
                    target.sendall(data)
        self._flowing.wait()  # that one end has closed is swallowed too
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(target: Path) -> Iterator[Proxy]:
    """A proxy in front of the server's socket ``target``."""
    found = Proxy(target)
    try:
        yield found
    finally:
        found.close()
