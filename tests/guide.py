"""Loads the Python files that the application-level validation guide quotes."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "examples" / "python"


def load(name: str) -> ModuleType:
    """The example as a module; it is no package."""
    full = f"example_{name}"
    if full in sys.modules:
        return sys.modules[full]
    spec = importlib.util.spec_from_file_location(full, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
