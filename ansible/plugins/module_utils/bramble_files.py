"""What the play's modules share on a host: where things are, what a file is, how it is replaced, how a unit does."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

HOME = Path("/opt/bramble")
ROOT = Path("/")
PROPERTIES = "Id,ActiveState,UnitFileState,NeedDaemonReload"


def said(*command: str) -> str:
    """Return what a command prints; nothing if it cannot run or fails."""
    try:
        plain = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=plain).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def described(path: Path) -> dict[str, str] | None:
    """Return a file's digest, mode and owners; None without it."""
    try:
        stat, content = path.stat(), path.read_bytes()
    except OSError:
        return None
    digest, mode = hashlib.sha256(content).hexdigest(), f"{stat.st_mode & 0o7777:04o}"
    return {"sha256": digest, "mode": mode, "owner": _owner(stat.st_uid, stat.st_gid)}


def _owner(user: int, group: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name}:{grp.getgrgid(group).gr_name}"
    except KeyError:
        return f"{user}:{group}"


def difference(path: Path, content: bytes) -> dict[str, str]:
    """Return what ``--diff`` shows of a file that is to hold something else."""
    try:
        before = path.read_bytes()
    except OSError:
        before = b""
    return {"before_header": str(path), "after_header": str(path), "before": _text(before), "after": _text(content)}


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return f"({len(content)} bytes)\n"


def write(path: Path, content: bytes, mode: str, owner: str) -> None:
    """Replace a file in one step, so that neither a reader nor a power cut sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.bramble")
    user, _, group = owner.partition(":")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchown(file.fileno(), pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), int(mode, 8))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def tree(release: Path) -> dict[str, Path]:
    """Return the files of a release's ``etc`` by their path from the root."""
    return {str(path.relative_to(release)): path for path in sorted((release / "etc").rglob("*")) if path.is_file()}


def not_live(release: Path) -> list[str]:
    """Return the files of a release that are not on the host as they are there."""
    return [name for name, path in tree(release).items() if described(path) != described(ROOT / name)]


def fits(release: Path) -> bool:
    """Return whether a release was made for the Python that this host has."""
    return (release / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}").is_dir()


def link(path: Path) -> str:
    """Return the name of what ``current`` or ``previous`` points to; nothing without such a link."""
    return os.path.basename(os.readlink(path)) if path.is_symlink() else ""


def point(path: Path, release: str) -> None:
    """Have a link point to a release, in one step."""
    unfinished = path.with_name(f".{path.name}.bramble")
    with contextlib.suppress(FileNotFoundError):
        unfinished.unlink()
    unfinished.symlink_to(path.parent / "releases" / release)
    unfinished.replace(path)


def units(names: list[str]) -> dict[str, dict[str, object]]:
    """Return how each unit does, and whether it was started with what is there now: ``same``, ``other`` or ``dead``."""
    found = {}
    for block in said("systemctl", "show", f"--property={PROPERTIES}", *names).split("\n\n") if names else []:
        shown = dict(line.partition("=")[::2] for line in block.splitlines())
        found[shown.get("Id", "")] = {
            "state": shown.get("ActiveState", "unknown"), "enabled": shown.get("UnitFileState") == "enabled",
            "reload": shown.get("NeedDaemonReload") == "yes",
        }  # fmt: skip
    nothing = {"state": "unknown", "enabled": False, "reload": False}
    return {name: {**found.get(name, nothing), "given": said(str(HOME / "given"), name) or "dead"} for name in names}


def runs_what_is_there(unit: dict[str, object]) -> bool:
    """Whether a unit, as ``units`` tells of it, needs no restart."""
    return unit["state"] == "active" and not unit["reload"] and unit["given"] == "same"
