"""The templates of notebook pages, which nbconvert compiles for each notebook anew."""

from __future__ import annotations

from functools import partial
from types import CodeType

from jinja2 import Environment
from jinja2.bccache import Bucket, BytecodeCache
from nbconvert.exporters import templateexporter


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
    """Have nbconvert compile a template once in this process.

    It makes an environment of Jinja for every notebook and has no option for a cache of bytecode
    (https://jinja.palletsprojects.com/en/stable/api/#bytecode-cache), so it is given one here.
    """
    templateexporter.Environment = partial(  # type: ignore[assignment,attr-defined]
        Environment, bytecode_cache=_COMPILED
    )
