"""The program ``runbook``, also as ``python -m runbook``: ends well from its first moment on.

Importing the commands takes longer than a person needs for Ctrl-C, so nothing of them is imported
here before the signal has its handler.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

MESSAGE, HINT, EXIT_CODE = "interrupted", "run the command again", 3


def main() -> None:
    """Import the commands and run one; Ctrl-C while they are imported ends with exit code 3."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell's & ignores it
    if usual:
        # not KeyboardInterrupt: Python prints it and goes on where the import system calls back
        signal.signal(signal.SIGINT, _leave)
    from runbook import cli  # noqa: PLC0415 - what takes the time

    try:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except KeyboardInterrupt:  # before or after what has its own message
        _leave(signal.SIGINT, None)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Say it without any import, in the format that was asked for; there is nothing to undo."""
    os.write(2, _said(sys.argv[1:]).encode())
    os._exit(EXIT_CODE)


def _said(words: list[str]) -> str:
    asked = " ".join(words).replace("--log-format=", "--log-format ").partition("--log-format ")[2]
    if (asked or os.environ.get("RUNBOOK_LOG_FORMAT", "")).partition(" ")[0] != "json":
        return f"error: {MESSAGE}\nhint: {HINT}\n"
    import json  # noqa: PLC0415 - no person waits for it
    from datetime import UTC, datetime  # noqa: PLC0415

    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = {"time": time, "level": "error", "command": "", "message": MESSAGE}
    return json.dumps(entry | {"hint": HINT, "exit_code": EXIT_CODE}) + "\n"


if __name__ == "__main__":
    main()
