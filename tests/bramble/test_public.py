"""``import bramble`` is what programs begin with, and costs a Pi's client nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bramble
from bramble import api


def test_the_http_client_is_there_by_its_short_name() -> None:
    assert all(getattr(bramble, name) is getattr(api, name) for name in bramble.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Servers'"):
        _ = bramble.Servers


def test_it_is_loaded_when_it_is_asked_for() -> None:
    code = "import bramble, sys; before = 'bramble.api' in sys.modules; bramble.Server; print(before, 'bramble.api' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
