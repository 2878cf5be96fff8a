"""Make an installed release the one that is live, or note how it did. What a release is: roles/release/tasks/activate.yml."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.bramble_files import (
    HOME,
    ROOT,
    described,
    fits,
    link,
    not_live,
    point,
    runs_what_is_there,
    said,
    tree,
    units,
    write,
)  # fmt: skip

DOCUMENTATION = r"""
module: bramble_release
short_description: Switch a component to an installed release, or note how it did
description:
  - C(live) copies the release's etc to /etc, takes away what only other releases brought there, moves the link, and returns what has
    to be restarted and which release there is to go back to. All of it is decided from what is there, so it mends a run that was cut.
  - C(back) is the same for a release that ran before, whole or not.
  - C(proved) notes that a release passed its gate, and keeps three, never dropping what runs or ran before, nor the packages of those.
  - C(unfit) has the next run install it anew, unless it did well before and runs as it is there, and is thus not at fault.
options:
  component:
    description: What is switched.
    type: str
    required: true
    choices: [server, inspector, client]
  release:
    description: The release's name.
    type: str
    required: true
  state:
    description: What is to be done.
    type: str
    choices: [live, back, proved, unfit]
    default: live
  units:
    description: The systemd units that run it.
    type: list
    elements: str
    default: []
  restart:
    description: Those of them that need a restart, whatever they were started with.
    type: list
    elements: str
    default: []
  previous:
    description: What C(previous) is to point to afterwards, instead of what was live.
    type: str
    default: ""
author: Bramble
"""

# What a release of the former layout, without an etc of its own, had in /etc.
FORMER = {
    "server": ("etc/bramble/server.toml", "etc/bramble/fleet.toml", "etc/bramble/graph.tflite*", "*.service.d/tls.conf"),
    "inspector": ("etc/bramble/inspector.toml",),
    "client": ("etc/bramble/client*.toml", "etc/bramble/sensors.toml", "*.service.d/graphs.conf"),
}
KEEP = 3


class Releases:
    """The releases of a component on this host."""

    def __init__(self, component: str) -> None:
        self._component, self._home = component, HOME / component

    def folder(self, release: str) -> Path:
        """Return where a release is."""
        folder: Path = self._home / "releases" / release
        return folder

    @property
    def current(self) -> str:
        """The live one."""
        return str(link(self._home / "current"))

    @property
    def previous(self) -> str:
        """The one before."""
        return str(link(self._home / "previous"))

    def proved(self, release: str) -> bool:
        """Whether a release passed its gate on this host."""
        return (self.folder(release) / ".proved").exists()

    def at_work(self, release: str, names: list[str]) -> bool:
        """Whether a release passed its gate on another day and its units run what is there."""
        return self.proved(release) and all(map(runs_what_is_there, units(self.units(release) or names).values()))

    def usable(self, release: str) -> bool:
        """Whether there is such a release, made for the Python that this host has."""
        return bool(release) and fits(self.folder(release))

    @property
    def all(self) -> list[Path]:
        """The folders of all of them."""
        return sorted((self._home / "releases").iterdir()) if (self._home / "releases").is_dir() else []

    def units(self, release: str) -> list[str]:
        """Return the units that a release names; none for one of the former layout."""
        return [unit for name in tree(self.folder(release)) if name.endswith(".inputs") and (unit := _unit(name))]

    def adopt(self) -> bool:
        """Give releases of the former layout, which shared what was in ``/etc``, an ``etc`` of their own: what they ran with."""
        former = [folder for folder in self.all if (folder / ".complete").exists() and not (folder / "etc").exists()]
        if self.folder(self.current) not in former:
            return False
        found = [path for path in (ROOT / "etc/systemd/system").glob(f"bramble-{self._component}*.service") if path.is_file()]
        for pattern in FORMER[self._component]:
            found += ROOT.glob(pattern.replace("*.service.d", f"etc/systemd/system/bramble-{self._component}*.service.d"))
        for settings in [path for path in found if path.suffix == ".toml"]:
            found += [Path(name) for name in re.findall(r'^replay = "(/etc/bramble/[^"]+)"', settings.read_text("utf-8"), re.MULTILINE)]
        for folder in former:
            unfinished = folder / ".adopted"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            for path in {path for path in found if path.is_file()}:
                copy = unfinished / path.relative_to(ROOT / "etc")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
            unfinished.rename(folder / "etc")
        return True

    def others_files(self, release: str) -> set[str]:
        """Return what other releases brought to ``/etc`` and this one does not."""
        brought = {name for folder in self.all for name in tree(folder) if (ROOT / name).exists()}
        return brought - set(tree(self.folder(release)))

    def go_live(self, release: str, names: list[str]) -> None:
        """Copy its files, take away others', move the link."""
        gone = self.others_files(release)
        for unit in {unit for unit in map(_unit, gone) if unit} - set(names):
            said("systemctl", "disable", "--now", unit)
        for name in not_live(folder := self.folder(release)):
            file = described(folder / name)
            write(ROOT / name, (folder / name).read_bytes(), file["mode"], file["owner"])
        for name in gone:
            (ROOT / name).unlink()
        if self.current != release:
            for unit in names:  # what release 0.1 is started with nobody notes: the note is of a start before that
                (ROOT / "run/bramble" / unit).unlink(missing_ok=True)
            point(self._home / "current", release)

    def remember(self, release: str) -> None:
        """Have ``previous`` point to a release."""
        if self.previous != release:
            point(self._home / "previous", release)

    def prune(self) -> list[str]:
        """Keep the newest, and never drop what runs or ran before; packages that no release runs on any more go too."""
        folders = [path for path in self.all if path.name not in (self.current, self.previous)]
        folders.sort(key=lambda path: (path / ".complete").stat().st_mtime if (path / ".complete").exists() else 0.0, reverse=True)
        kept = len({self.current, self.previous} - {""})
        dropped = folders[max(0, KEEP - kept) :]
        for folder in dropped:
            shutil.rmtree(folder)
        used = "".join(path.read_text("utf-8") for path in self._home.glob("releases/*/lib/python3*/site-packages/bramble-packages.pth"))
        unused = [folder for folder in self._home.glob("packages/*") if f"/packages/{folder.name}/" not in used] if dropped else []
        for folder in unused:
            shutil.rmtree(folder)
        return [folder.name for folder in dropped + unused]


def _unit(name: str) -> str:
    """Return the unit that a file in ``/etc`` belongs to alone; nothing for others' files."""
    path = Path(name)
    return path.stem if path.suffix == ".inputs" else path.name if path.suffix == ".service" and "@." not in path.name else ""


def live(module: AnsibleModule, releases: Releases) -> dict[str, object]:
    """Switch; say what is to be restarted, and what there is to go back to."""
    wanted, restart = module.params["release"], module.params["restart"]
    names = releases.units(wanted) or module.params["units"]
    adopted = not module.check_mode and releases.adopt()
    current, earlier = releases.current, releases.previous
    former = current if current != wanted else "" if releases.proved(wanted) else earlier
    switched = current != wanted or bool(not_live(releases.folder(wanted)) or releases.others_files(wanted))
    if module.check_mode:
        return {"changed": switched, "former": former, "earlier": earlier, "units": names, "stale": names}
    proof = releases.folder(wanted) / ".proved"
    if switched and proof.exists():
        proof.unlink()  # a run that ends in the middle must not leave the proof of another day
    if module.params["previous"] or (current and current != wanted and (releases.proved(current) or not earlier)):
        releases.remember(module.params["previous"] or current)
    releases.go_live(wanted, names)
    said("systemctl", "daemon-reload")
    os.sync()
    stale = [name for name, unit in units(names).items() if name in restart or not runs_what_is_there(unit)]
    former = former if releases.usable(former) else ""
    return {"changed": switched or adopted or bool(stale), "former": former, "earlier": earlier, "units": names, "stale": stale}


def main() -> None:
    """Do what ``state`` says."""
    module = AnsibleModule(
        argument_spec={
            "component": {"type": "str", "required": True, "choices": ["server", "inspector", "client"]},
            "release": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["live", "back", "proved", "unfit"], "default": "live"},
            "units": {"type": "list", "elements": "str", "default": []},
            "restart": {"type": "list", "elements": "str", "default": []},
            "previous": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    releases, release = Releases(module.params["component"]), module.params["release"]
    folder, state = releases.folder(release), module.params["state"]
    if not (folder / ".complete" if state == "live" else folder).exists() and not module.check_mode:
        module.fail_json(msg=f"{folder} is not there, or not all of it: run deploy.yml, without --tags")
    if state in ("live", "back"):
        module.exit_json(**live(module, releases))
    if state == "unfit" and releases.at_work(release, module.params["units"]):
        module.exit_json(changed=False, kept=True)
    marks = [folder / mark for mark in (".complete", ".proved") if (folder / mark).exists()]
    changed = bool(marks) if state == "unfit" else not releases.proved(release)
    dropped: list[str] = []
    if state == "unfit" and not module.check_mode:
        for mark in marks:
            mark.unlink()
    elif not module.check_mode:
        (folder / ".proved").touch()
        dropped = releases.prune()
    module.exit_json(changed=changed or bool(dropped), dropped=dropped)


if __name__ == "__main__":
    main()
