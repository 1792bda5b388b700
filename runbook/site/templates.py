"""The templates of notebook pages: nbconvert compiles them, and adds styles, for every notebook."""

from __future__ import annotations

from types import CodeType
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, DictLoader, Environment
from jinja2.bccache import Bucket, BytecodeCache
from nbconvert.exporters import templateexporter

# 600 KB in every notebook's page, which the site takes out again: it has its own
STYLES = tuple(f"mkdocs_html/assets/{name}.css" for name in ("index", "theme-light", "theme-dark"))


class Compiled(BytecodeCache):
    """Templates as code by their name and source, for as long as the process lasts."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = Compiled()


def compile_once() -> None:
    """Have nbconvert compile a template once in this process, and leave the style sheets out.

    It makes an environment of Jinja for every notebook and has no option for a cache of bytecode
    (https://jinja.palletsprojects.com/en/stable/api/#bytecode-cache), so it is given one here.
    """
    templateexporter.Environment = _environment  # type: ignore[assignment,attr-defined]


def _environment(loader: BaseLoader, **options: Any) -> Environment:
    without_styles = ChoiceLoader([DictLoader(dict.fromkeys(STYLES, "")), loader])
    # as nbconvert has it: its templates escape what they print
    return Environment(loader=without_styles, bytecode_cache=_COMPILED, **options)  # noqa: S701
