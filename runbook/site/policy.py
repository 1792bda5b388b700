"""A Content-Security-Policy in every page: nothing from another host, and no script but the site's.

The theme has a few inline scripts and styles; each is allowed by its digest, so that a script from
anywhere else stays dead even if it got into a page
(https://www.w3.org/TR/CSP3/#external-hash).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<content>.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style[^>]*>(?P<content>.*?)</style>", re.DOTALL)
_DATA = re.compile(r"""\b(?:src\s*=|type\s*=\s*["']?application/(?:ld\+)?json)""")
_HEAD = re.compile(r"<head[^>]*>")


def of(html: str) -> str:
    """The policy that a page's own inline scripts and styles need, and no more."""
    scripts = (
        found["content"]
        for found in _SCRIPT.finditer(html)
        if not _DATA.search(found["attributes"])
    )
    styles = (found["content"] for found in _STYLE.finditer(html))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_sources(scripts)}",
            f"style-src {_sources(styles)}",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def with_policy(html: str) -> str:
    """The page with its policy before anything that the policy is about."""
    tag = f'<meta http-equiv="Content-Security-Policy" content="{of(html)}">'
    return _HEAD.sub(lambda head: head[0] + tag, html, count=1)


def _sources(inline: Iterable[str]) -> str:
    digests = sorted({_digest(content) for content in inline if content})
    return " ".join(("'self'", *(f"'sha256-{digest}'" for digest in digests)))


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
