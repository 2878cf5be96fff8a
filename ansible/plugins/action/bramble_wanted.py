"""Work out what a host is to have: the files of each component and the names of its releases. No host is asked."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.bramble.fleet.plugins.plugin_utils.reasons import BASE, reasons_of, settled
from ansible_collections.bramble.fleet.plugins.plugin_utils.tables import Tables

from ansible.plugins.action import ActionBase


def digest(files: dict[str, dict[str, Any]]) -> str:
    """Return eight hex digits over what files are called and hold, and who may read them."""
    lines = [f"{path}\0{file['sha256']}\0{file['mode']}\0{file['owner']}\n" for path, file in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:8]


def shown(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file as a variable may hold it: its text, or nothing but its digest if it is none."""
    try:
        return {**file, "content": file["content"].decode("utf-8")}
    except UnicodeDecodeError:
        return {key: value for key, value in file.items() if key != "content"}


def hidden(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file without what it holds."""
    return {key: value for key, value in file.items() if key != "content"}


def _innermost(error: BaseException) -> str:
    """Return what was wrong in the first place, without what Ansible says of where it noticed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return per component ``release``, ``version``, ``units`` and ``files``, and what to look at on the host.

    With ``version``, ``packages`` and ``host``, what ``bramble_host`` saw, there are also the names of releases, the identity's files
    without what they hold, the ``reasons`` why something is to be done there, and the releases that are ``settled``. Without
    them, what cannot be worked out is returned as ``refused``, for ``bramble_settings`` to say with all else.
    """

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fill in the tables of the host's components."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        options = {
            "components": {"type": "list", "elements": "str", "required": True},
            "version": {"type": "str"},
            "host": {"type": "dict"},
            "packages": {"type": "dict"},
        }
        _, arguments = self.validate_argument_spec(options)
        try:
            return self._wanted(Tables(self, task_vars), arguments)
        except AnsibleError as error:
            if arguments["host"]:
                raise
            return {"changed": False, "refused": _innermost(error)}

    @staticmethod
    def _wanted(tables: Tables, arguments: dict[str, Any]) -> dict[str, Any]:
        wanted: dict[str, Any] = {"changed": False, "units": {}, "paths": [BASE], "releases": {}}
        for component in ("base", *arguments["components"]):
            files = tables.files("base") if component == "base" else tables.release(component)
            wanted[component] = {"settings": digest(files), "files": {path: shown(file) for path, file in files.items()}}
            wanted["paths"] += [str(entry["path"]) for entry, _ in tables.entries(component, "identity")]
            if component == "base":
                wanted["paths"] += list(files)
                continue
            wanted["units"][component] = tables.units(component)
            if arguments["host"]:
                wanted[component] |= {
                    "version": arguments["version"],
                    "packages": arguments["packages"][f"{component}-{arguments['host']['target']}"]["name"],
                    "release": f"{arguments['version']}-{arguments['host']['target']}-{wanted[component]['settings']}",
                    "identity": {path: hidden(file) for path, file in tables.files(component, "identity").items()},
                }
                wanted["releases"][component] = wanted[component]["release"]
        if arguments["host"]:
            wanted["reasons"], wanted["settled"] = reasons_of(wanted, arguments["host"]), settled(wanted, arguments["host"])
        return wanted
