"""Build the wheel and the archives that hosts install from: ``python -m wheelhouse.build --folder DIR component-target ...``.

An archive holds all wheels of one component for one target and the requirements with their hashes, so that a host needs neither
the internet nor a compiler. Wheels come by pip, as it is configured on this machine, and stay in the folder for the next release.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from wheelhouse import locks
from wheelhouse.locks import Wheel
from wheelhouse.targets import Target, find

ROOT = Path(__file__).parents[2]
PACKAGES = ("bramble", "protocol", "server", "edge_client", "inspector")
_VERSION = re.compile(r'(?m)^version = "([^"]+)"$')


def _sources() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted([*found, *locks.LOCKS.glob("*.txt"), *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))])


@functools.cache
def version() -> str:
    """Return the project's version with a digest of its sources and locks: what differs in content differs in version."""
    digest = hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    base = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return f"{base}+{digest.hexdigest()[:12]}"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the sources as they are, into a folder, unless it is there; return it."""
    wheel = folder / f"bramble_fl-{version()}-py3-none-any.whl"
    if wheel.exists():
        return wheel
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "source"
        for path in _sources():
            (copy / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy / path.relative_to(ROOT))
        project = copy / "pyproject.toml"
        project.write_text(_VERSION.sub(f'version = "{version()}"', project.read_text("utf-8"), count=1), "utf-8")
        _pip("wheel", "--no-deps", "--wheel-dir", name, copy)
        built = next(Path(name).glob("bramble_fl-*.whl"))
        shutil.move(built, wheel)
    return wheel


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"pip {arguments[0]} failed: {done.stderr.strip()[-1500:]}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _wanting(wheels: list[Wheel], pool: Path) -> list[Wheel]:
    return [wheel for wheel in wheels if not (pool / wheel.file).exists() or _sha256(pool / wheel.file) != wheel.sha256]


def fetch(wheels: list[Wheel], target: Target, pool: Path) -> None:
    """Download what the pool lacks, every file against its hash.

    Raises
    ------
    ValueError
        Naming what is not to be had, or differs from its hash.
    """
    pool.mkdir(parents=True, exist_ok=True)
    missing = _wanting(wheels, pool)
    if missing:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write("".join(wheel.line() + "\n" for wheel in missing))
            requirements.flush()
            _pip("download", "--quiet", "--no-deps", "--require-hashes", "--dest", pool, "-r", requirements.name, *target.pip_options)
    if left := _wanting(missing, pool):
        raise ValueError(f"{left[0].file} is not what the lock file says: make the locks again with python -m wheelhouse.lock")


def pack(component: str, target: Target, folder: Path) -> tuple[Path, bool]:
    """Make a component's archive for a target unless it is there; return it and whether it is new."""
    archive = folder / f"{component}-{target.name}-{version()}.tar"
    if archive.exists():
        return archive, False
    own, wheels, pool = build_wheel(folder), locks.read(component, target), folder / "pool"
    fetch(wheels, target, pool)
    lines = [wheel.line() for wheel in wheels] + [f"bramble-fl=={version()} --hash=sha256:{_sha256(own)}  # {own.name}"]
    unfinished = archive.with_suffix(".unfinished")
    with tempfile.TemporaryDirectory() as name, tarfile.open(unfinished, "w") as tar:
        requirements = Path(name) / "requirements.txt"
        requirements.write_text("\n".join(lines) + "\n")
        tar.add(requirements, "requirements.txt")
        for path in [own, *(pool / wheel.file for wheel in wheels)]:
            tar.add(path, path.name)
    unfinished.rename(archive)
    return archive, True


def _prune(folder: Path, keep: int = 5) -> None:
    """Forget the archives and wheels of all but the newest releases."""
    releases = sorted(folder.glob("bramble_fl-*.whl"), key=lambda path: path.stat().st_mtime)
    for wheel in releases[:-keep]:
        old = wheel.name.split("-")[1]
        for path in [*folder.glob(f"*-{old}.tar"), wheel]:
            path.unlink()


def main() -> int:
    """Pack what is named; print the version, the archives and whether anything is new as JSON."""
    parser = argparse.ArgumentParser(description="Build the archives that hosts install from.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("wanted", nargs="*", help="component-target, for instance client-cp311-aarch64")
    options = parser.parse_args()
    archives, changed = {}, False
    try:
        for wanted in options.wanted:
            component, _, target = wanted.partition("-")
            archive, new = pack(component, find(component, target), options.folder)
            archives[wanted], changed = str(archive), changed or new
        _prune(options.folder)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"version": version(), "archives": archives, "changed": changed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
