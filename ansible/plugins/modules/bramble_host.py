"""Look at a host in one round trip: all that the play decides by. It changes nothing."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import sys
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.bramble_files import HOME, ROOT, described, fits, link, not_live, said, tree, units

DOCUMENTATION = r"""
module: bramble_host
short_description: Look at a host in one round trip
description:
  - Returns all by which the play decides what there is to do. Writes and removes an empty file where releases, settings and
    data go, for that is the only way to know that it can, and changes nothing.
options:
  components:
    description: The systemd units of each component that the host is to run.
    type: dict
    default: {}
  files:
    description: Files whose digests are of interest, by their paths from the root.
    type: list
    elements: str
    default: []
author: Bramble
"""

MACHINES = {"arm64": "aarch64", "amd64": "x86_64", "armhf": "armv7l"}


def text(path: Path) -> str:
    """Return a file's text; nothing without it."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def system() -> dict[str, str]:
    """Return what the system calls itself. Raspberry Pi OS of 32 bits is ``raspbian``, of 64 bits ``debian``."""
    words = dict(line.partition("=")[::2] for line in text(Path("/etc/os-release")).splitlines())
    return {key.lower(): words.get(key, "").strip("\"'") for key in ("ID", "VERSION_ID")}


def target() -> str:
    """Return which wheels fit. A 32-bit system on a 64-bit kernel calls itself aarch64; dpkg knows what its Python is."""
    machine = MACHINES.get(said("dpkg", "--print-architecture"), "unknown")
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{machine}"


def existing(path: Path) -> Path:
    """Return a folder, or the nearest one above it that there is."""
    return path if path.is_dir() else existing(path.parent)


def unwritable(folder: Path) -> str:
    """Return why no file can be made in a folder; nothing if one can."""
    try:
        with tempfile.TemporaryFile(dir=existing(folder), prefix=".bramble-"):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def overlay(cmdline: str) -> bool:
    """Return whether all that is written is gone at the next boot: as raspi-config's first way and its later one say it."""
    return any(word == "boot=overlay" or word.startswith("overlayroot=tmpfs") for word in cmdline.split())


def space(folder: Path) -> dict[str, object]:
    """Return the megabytes free below a folder, and the file system that they are on."""
    folder = existing(folder)
    stat = os.statvfs(folder)
    mount = next(path for path in (folder.resolve(), *folder.resolve().parents) if os.path.ismount(path))
    return {"free_mb": stat.f_bavail * stat.f_frsize >> 20, "mount": str(mount)}


def release(folder: Path) -> dict[str, object]:
    """Return how far a release is, whether this host's Python runs it, and when it was live or installed last."""
    parts = {"complete": ".complete", "proved": ".proved", "etc": "etc"}
    there = {name: (folder / part).exists() for name, part in parts.items()}
    marks = [folder / parts[name] for name in ("proved", "complete") if there[name]]
    return {**there, "fits": fits(folder), "since": marks[0].stat().st_mtime if marks else 0.0}


def component(name: str, names: list[str]) -> dict[str, object]:
    """Return the releases of a component, which of them is live, and how its units do."""
    home = HOME / name
    links = {name: link(home / name) for name in ("current", "previous")}
    releases = {folder.name: release(folder) for folder in home.glob("releases/*")}
    packages = sorted(mark.parent.name for mark in home.glob("packages/*/.complete"))
    found = {**links, "releases": releases, "packages": packages, "units": units(names), "files": {}, "not_live": []}
    if links["current"]:
        current = home / "releases" / links["current"]
        files = {path: (described(file) or {}).get("sha256") for path, file in tree(current).items()}
        found.update(files=files, not_live=not_live(current))
    return found


def look(components: dict[str, list[str]], files: list[str]) -> dict[str, object]:
    """Return all of it."""
    raspi_config = os.path.exists("/usr/bin/raspi-config")
    return {
        "system": system(),
        "python": platform.python_version(),
        "target": target(),
        "epoch": time.time(),
        "space": space(Path("/opt")),
        "unwritable": {folder: why for folder in ("/etc", "/opt", "/var/lib") if (why := unwritable(Path(folder)))},
        "overlay": overlay(text(Path("/proc/cmdline"))),
        "users": [user.pw_name for user in pwd.getpwall()],
        "groups": [group.gr_name for group in grp.getgrall()],
        "buses": sorted(str(bus) for bus in Path("/dev").glob("i2c-*")),
        "raspi_config": raspi_config,
        "bus_on": said("raspi-config", "nonint", "get_i2c") == "0" if raspi_config else None,
        "lgpio": os.path.exists("/usr/lib/python3/dist-packages/lgpio.py"),
        "watchdog": os.path.exists("/dev/watchdog"),
        "timesyncd": os.path.exists("/usr/lib/systemd/system/systemd-timesyncd.service"),
        "time_wait": said("systemctl", "is-enabled", "systemd-time-wait-sync.service") == "enabled",
        "fleet": text(HOME / "fleet.json"),
        "served": (HOME / "served").exists(),
        "wheels": sorted({str(wheel.name) for wheel in HOME.glob("*/releases/*/*.whl") if (wheel.parent / ".complete").exists()}),
        "files": {path: described(ROOT / path) for path in files},
        "components": {name: component(name, names) for name, names in components.items()},
    }


def main() -> None:
    """Return the fact."""
    arguments = {"components": {"type": "dict", "default": {}}, "files": {"type": "list", "elements": "str", "default": []}}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, no_log=True)
    module.exit_json(changed=False, **look(module.params["components"], module.params["files"]))


if __name__ == "__main__":
    main()
