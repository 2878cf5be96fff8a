"""The files of a component, as its role's ``vars/files.yml`` has them: each table filled in for one host, which is not asked.

An entry has a ``path`` (from the root, which is also its path in the release), one of ``template``, ``copy`` and ``content``, and where
it differs ``mode``, ``owner`` (``user:group``), ``when``, ``loop`` (as ``item``), ``unit`` (the one unit that reads it, of several),
``read`` (false: no unit is restarted for it), ``early`` (true: it is brought before any part of the fleet is upgraded) and ``variable``
(which of the inventory names the file that is copied).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.template import trust_as_template

from ansible.plugins.action import ActionBase

COMPONENTS = ("server", "inspector", "client")
DEFAULTS: dict[str, Any] = {"mode": "0644", "owner": "root:root", "read": True, "early": False, "unit": None, "variable": None}


def carried(files: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return files as a module is handed them."""
    return {
        path: {**{key: file[key] for key in ("sha256", "mode", "owner")}, "content": base64.b64encode(file["content"]).decode()}
        for path, file in files.items()
    }


class Tables:
    """The tables of one host's components, filled in.

    Parameters
    ----------
    action
        The running action, for its loader and templar.
    task_vars
        The host's variables. What a role sets by default counts where they say nothing.
    """

    def __init__(self, action: ActionBase, task_vars: dict[str, Any]) -> None:
        self._action, self._roles = action, Path(task_vars["playbook_dir"]) / "roles"
        self._read_already: dict[Path, dict[str, Any]] = {}
        self._units: dict[str, list[str]] = {}
        self._variables = {"server_secrets": task_vars["hostvars"].get("localhost", {}).get("identity_made"), **task_vars}
        for component in ("base", *COMPONENTS):
            self._variables = {**self._read(component, "defaults/main.yml"), **self._variables}

    def _read(self, component: str, name: str) -> dict[str, Any]:
        path = self._roles / component / name
        if path not in self._read_already:
            there = path.exists()
            self._read_already[path] = self._action._loader.load_from_file(str(path), trusted_as_template=True) or {} if there else {}
        return self._read_already[path]

    def value(self, template: Any, **more: Any) -> Any:
        """Fill in a template or a tree of them."""
        templar = self._action._templar.copy_with_new_env(available_variables={**self._variables, **more})
        return templar.template(template)

    def units(self, component: str) -> list[str]:
        """Return the systemd units of a component."""
        if not self._units:
            self._units = {name: list(map(str, units)) for name, units in self.value(self._variables["bramble_units"]).items()}
        return self._units[component]

    def entries(self, component: str, table: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Return the entries of a table that count here, each once for every item, with the variables that it is filled in with."""
        for entry in self._read(component, "vars/files.yml")[f"{component}_{table}"]:
            if self.value(entry.get("when", True)):
                for item in self.value(entry["loop"]) if "loop" in entry else [None]:
                    more = {} if item is None else {"item": item}
                    plain = {key: self.value(entry[key], **more) for key in ("path", *DEFAULTS) if key in entry}
                    yield {**DEFAULTS, **plain, "raw": entry}, more

    def source(self, entry: dict[str, Any], more: dict[str, Any]) -> Path:
        """Return what is copied, on the controller."""
        return Path(self._roles.parent, Path(self.value(entry["raw"]["copy"], **more)).expanduser())

    def content(self, component: str, entry: dict[str, Any], more: dict[str, Any]) -> bytes:
        """Return what a file holds."""
        raw = entry["raw"]
        if "copy" in raw:
            path = self.source(entry, more)
            try:
                return path.read_bytes()
            except OSError as error:
                where = f"{entry['variable']}: " if entry["variable"] else ""
                raise AnsibleActionFail(
                    f"{where}{path} cannot be read on the controller ({error.strerror}): name a file that is there"
                ) from None
        if "template" in raw:
            text = trust_as_template((self._roles / component / "templates" / raw["template"]).read_text("utf-8"))
            return str(self.value(text, **more)).encode()
        return str(self.value(raw["content"], **more)).encode()

    def files(self, component: str, table: str = "files") -> dict[str, dict[str, Any]]:
        """Return the files of a table by path: ``content`` (bytes), its digest, and all that its entry says."""
        found = {}
        for entry, more in self.entries(component, table):
            content = self.content(component, entry, more)
            described = {key: entry[key] for key in DEFAULTS}
            if entry["variable"]:
                described["source"] = str(self.source(entry, more))
            found[str(entry["path"])] = {**described, "content": content, "sha256": hashlib.sha256(content).hexdigest()}
        return found

    def release(self, component: str) -> dict[str, dict[str, Any]]:
        """Return the files of a component's release, the lists of what its units read among them."""
        files = self.files(component)
        read = [*self.entries(component, "files"), *self.entries(component, "identity")]
        for unit in self.units(component):
            paths = sorted({f"/{entry['path']}" for entry, _ in read if entry["read"] and entry["unit"] in (None, unit)})
            content = "".join(f"{path}\n" for path in paths if path.startswith("/etc/bramble/")).encode()
            described = {**DEFAULTS, "read": False, "unit": unit}
            files[f"etc/bramble/{unit}.inputs"] = {**described, "content": content, "sha256": hashlib.sha256(content).hexdigest()}
        return files
