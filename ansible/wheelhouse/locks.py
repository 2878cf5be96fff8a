"""Lock files: for each component and target, every wheel by name, version, file and SHA-256.

Run ``python -m wheelhouse.lock`` in ``ansible/`` after a change to the dependencies or to ``constraints.txt``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from wheelhouse.targets import Target

LOCKS = Path(__file__).parents[1] / "locks"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})  # (?P<file>\S+\.whl)")


@dataclass(frozen=True, order=True)
class Wheel:
    """One line of a lock file."""

    name: str
    version: str
    sha256: str
    file: str

    def line(self) -> str:
        """Return the requirement, as pip and a person read it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}  # {self.file}"


def path(component: str, target: Target) -> Path:
    """Return where a lock file is."""
    return LOCKS / f"{component}-{target.name}.txt"


def digest(component: str, target: Target) -> str:
    """Return what tells one lock file from another: the first twelve digits of its SHA-256."""
    return hashlib.sha256(path(component, target).read_bytes()).hexdigest()[:12]


def read(component: str, target: Target) -> list[Wheel]:
    """Read a lock file.

    Raises
    ------
    ValueError
        Naming the line that is not a pinned wheel, or the file that is missing.
    """
    file, wheels = path(component, target), []
    if not file.exists():
        raise ValueError(f"{file} is missing: python -m wheelhouse.lock makes it")
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{file}, line {number}: expected NAME==VERSION --hash=sha256:...  # FILE.whl")
            wheels.append(Wheel(**match.groupdict()))
    return wheels


def write(component: str, target: Target, wheels: list[Wheel]) -> None:
    """Write a lock file."""
    head = f"# The {component} on {target.python_version}, {target.machine}. Made by python -m wheelhouse.lock; do not edit.\n"
    debian = "".join(f"# {name} comes from Debian's python3-{name}.\n" for name in target.from_debian)
    path(component, target).write_text(head + debian + "".join(wheel.line() + "\n" for wheel in sorted(wheels)), "utf-8")
