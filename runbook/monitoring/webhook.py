"""Posts an alert to a webhook. Its address is a secret: it is in no message and on no disk."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from runbook.errors import IncompleteError, UsageError

ATTEMPTS = 5
SECONDS = 10.0  # for one answer
LONGEST_PAUSE = 120.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")
AGAIN = "it is told again with the next runbook monitor alert"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the alert to somebody whom nobody named."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


def address(variable: str, environ: Mapping[str, str]) -> str:
    """The webhook's address from an environment variable; raises :class:`UsageError`."""
    url = environ.get(variable, "")
    if not url:
        raise UsageError(
            f"the environment variable {variable!r} is not set",
            f"export {variable} with the webhook's address, from where you keep secrets",
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # raises for a number that no port has
    except ValueError:
        host = ""
    # urllib would fail on anything else with an exception that is none of its own
    plain = url.isascii() and url.isprintable() and " " not in url
    safe = host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
    if not (plain and safe):
        raise UsageError(
            f"the environment variable {variable!r} holds no https address",
            "copy the webhook's address as it was given out; http is only for this machine",
        )
    return url


def send(
    url: str,
    variable: str,
    payload: Mapping[str, str],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Post ``payload`` as JSON; the number of attempts that it took.

    HTTP 429 and 5xx, and a server that does not answer, are tried again with growing pauses, or
    when ``Retry-After`` says. Raises :class:`IncompleteError` when it was not delivered.
    """
    body = json.dumps(payload).encode()
    said = ""
    for attempt in range(1, ATTEMPTS + 1):
        said, pause = _post(url, body)
        if not said:
            return attempt
        if pause is None:
            raise IncompleteError(
                f"the webhook in {variable!r} refused the alert: {said}",
                "check its address, and that it takes Slack's JSON",
            )
        if pause > LONGEST_PAUSE:
            raise IncompleteError(
                f"the webhook in {variable!r} asks to be left alone for {pause:,.0f} s: {said}",
                AGAIN,
            )
        if attempt < ATTEMPTS:
            sleep(pause or 2.0**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
    raise IncompleteError(
        f"the webhook in {variable!r} took nothing in {ATTEMPTS} attempts, the last: {said}", AGAIN
    )


def _post(url: str, body: bytes) -> tuple[str, float | None]:
    """What went wrong, empty for nothing; and the pause it asks for, 0 for any, None for never."""
    request = urllib.request.Request(  # noqa: S310 - its scheme has been looked at
        url, body, {"Content-Type": "application/json", "User-Agent": "fk-runbook"}
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        again = error.code in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        pause = _retry_after(error.headers.get("Retry-After", ""))
        error.close()
        return f"HTTP {error.code}", pause if again or error.code >= 500 else None
    except urllib.error.URLError as error:
        # the reason's text may name the host
        return type(error.reason).__name__, 0.0
    except (OSError, HTTPException) as error:
        return type(error).__name__, 0.0
    return "", 0.0


def _retry_after(text: str) -> float:
    """Seconds, from a number of them or from a date; 0 where it says neither."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
