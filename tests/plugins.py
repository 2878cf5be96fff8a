"""Ansible's plugins as modules of their own: no package holds them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PLUGINS = Path(__file__).parents[1] / "ansible" / "plugins"


def load(name: str, file: str) -> ModuleType:
    """Run a file below ``ansible/plugins`` as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, PLUGINS / file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
