"""Build what hosts install from: ``python -m wheelhouse.build --folder DIR component-target ...``.

The project's own wheel is what differs from release to release. An archive holds all else that a component needs on a target: the wheels
of its lock file and the requirements with their hashes, so that a host needs neither the internet nor a compiler. It is called by the
lock's digest, and a host that has installed it once needs it for no other release. Wheels come by pip, as it is configured on this
machine, and stay in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wheelhouse import locks
from wheelhouse.locks import Wheel
from wheelhouse.targets import Target, find

ROOT = Path(__file__).parents[2]
FOLDERS = ("bramble", "protocol", "server", "edge_client", "inspector")
BLOCK = 4096
"""Bytes in which a card's file system counts."""
_VERSION = re.compile(r'(?m)^version = "([^"]+)"$')


def _sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
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


def own_wheel(folder: Path) -> Path:
    """Return where the wheel of the sources as they are belongs."""
    return folder / f"bramble_fl-{version()}-py3-none-any.whl"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the sources as they are, into a folder, unless it is there; return it."""
    wheel = own_wheel(folder)
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
    """Make the archive of a component's packages for a target unless it is there; return it and whether it is new.

    It holds one folder with what the lock file says and nothing else, so equal locks make equal archives.
    """
    archive = folder / f"{component}-{target.name}-{locks.digest(component, target)}.tar"
    if archive.exists():
        archive.touch()
        return archive, False
    wheels, pool = locks.read(component, target), folder / "pool"
    fetch(wheels, target, pool)
    requirements = "".join(wheel.line() + "\n" for wheel in wheels).encode()
    unfinished = archive.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as tar:
        for name, content in [("requirements.txt", requirements), *((wheel.file, (pool / wheel.file).read_bytes()) for wheel in wheels)]:
            member = tarfile.TarInfo(f"{archive.stem}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    unfinished.rename(archive)
    return archive, True


def installed(*wheels: Path) -> int:
    """Return the bytes that wheels take on a card once they are installed: whole blocks, and the bytecode of each module beside it."""
    files = [item for wheel in wheels for item in zipfile.ZipFile(wheel).infolist()]
    blocks = sum((2 if item.filename.endswith(".py") else 1) * -(-item.file_size // BLOCK) for item in files)
    return blocks * BLOCK


def _described(path: Path, *wheels: Path) -> dict[str, Any]:
    """Return what a play has to know of a file: its name, where it is here, its digest, and its megabytes, now and once installed."""
    megabytes, then = (-(-size // (1 << 20)) for size in (path.stat().st_size, installed(*wheels)))
    return {"file": path.name, "path": str(path), "sha256": _sha256(path), "mb": megabytes, "installed_mb": then}


def _prune(folder: Path) -> None:
    """Keep the wheels of the newest five releases, and two archives of each component and target: of one lock and of the one before."""
    kept: dict[str, int] = {}
    files = [path for pattern in ("*.tar", "bramble_fl-*.whl") for path in folder.glob(pattern)]
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        kind = "-".join(path.name.split("-")[:3]) if path.suffix == ".tar" else "wheel"
        kept[kind] = kept.get(kind, 0) + 1
        if kept[kind] > (2 if path.suffix == ".tar" else 5):
            path.unlink()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other play of this machine builds in the folder, and have others wait meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Pack what is named; print the version, the wheel, the archives by component and target, and whether anything is new, as JSON."""
    parser = argparse.ArgumentParser(description="Build what hosts install from.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("wanted", nargs="*", help="component-target, for instance client-cp311-aarch64")
    options = parser.parse_args()
    folder, packages = options.folder, {}
    try:
        with alone(folder):
            changed = not own_wheel(folder).exists()
            own = build_wheel(folder)
            own.touch()
            for wanted in options.wanted:
                component, _, name = wanted.partition("-")
                target = find(component, name)
                archive, new = pack(component, target, folder)
                wheels = [folder / "pool" / wheel.file for wheel in locks.read(component, target)]
                pip = next(wheel.name for wheel in wheels if wheel.name.startswith("pip-"))
                packages[wanted] = {"name": f"{locks.digest(component, target)}-{name}", "pip": pip, **_described(archive, *wheels)}
                changed = changed or new
            _prune(folder)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"version": version(), "wheel": _described(own, own), "packages": packages, "changed": changed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
