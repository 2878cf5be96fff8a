"""How a Python that this one starts finds the packages that this one runs, installed or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def python_path(*packages: str) -> str:
    """Return a ``PYTHONPATH`` with which another Python finds these packages, and what this one was told to look through.

    Parameters
    ----------
    packages
        Names of packages that this process has imported.
    """
    files = (sys.modules[package].__file__ for package in packages)
    folders = [str(Path(file).parents[1]) for file in files if file]
    return os.pathsep.join(dict.fromkeys(filter(None, (*folders, os.environ.get("PYTHONPATH")))))
