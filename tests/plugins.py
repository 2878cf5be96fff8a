"""Ansible's plugins as modules of their own: no package holds them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


def module_on(disk: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """Return a module that works on a folder as its disk. Ansible's part of it, which talks to the controller, is not needed."""
    basic = ModuleType("ansible.module_utils.basic")
    basic.AnsibleModule = object  # type: ignore[attr-defined]
    for above in ("ansible", "ansible.module_utils", "ansible.module_utils.bramble_files"):
        monkeypatch.setitem(sys.modules, above, ModuleType(above))
    monkeypatch.setitem(sys.modules, "ansible.module_utils.basic", basic)
    files = load("ansible.module_utils.bramble_files", "module_utils/bramble_files.py")
    module = load(name, f"modules/{name}.py")
    for part in (files, module):
        monkeypatch.setattr(part, "ROOT", disk)
        monkeypatch.setattr(part, "HOME", disk / "opt/bramble")
    monkeypatch.setattr(module, "said", lambda *_: "")
    return module
