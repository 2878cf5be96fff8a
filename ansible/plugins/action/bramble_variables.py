"""Refuse an inventory that misspells a variable or lacks a group, before any host is touched."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail

from ansible.plugins.action import ActionBase

PREFIXES = ("preflight_", "wheelhouse_", "identity_", "base_", "release_", "server_", "inspector_", "client_")
NEAR = 0.85
"""How alike a variable of nobody's must be to one of ours to count as a misspelling of it."""


def known_variables(roles: Path) -> set[str]:
    """Return every variable that some role's argument_specs declare."""
    names: set[str] = set()
    for file in roles.glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text("utf-8"))["argument_specs"].values():
            names.update(entry.get("options", {}))
    return names


def misspelt(names: set[str], known: set[str]) -> list[str]:
    """Return one sentence for each name that no role knows and that was meant to be one."""
    sentences = []
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if name.startswith(PREFIXES) else NEAR)
        if near or name.startswith(PREFIXES):
            sentences.append(f"{name} is not a variable of any role" + (f": did you mean {near[0]}?" if near else ""))
    return sentences


class ActionModule(ActionBase):  # type: ignore[misc]
    """Check the groups and the variables of all hosts."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return nothing of interest, or fail with all that is wrong."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        _, arguments = self.validate_argument_spec({"roles": {"type": "path", "required": True}})
        known, groups, problems = known_variables(Path(arguments["roles"])), task_vars["groups"], []
        servers = groups.get("server", [])
        if len(servers) != 1:
            problems.append(f"the group server has {len(servers)} hosts: name the one host that runs the server")
        if not groups.get("clients"):
            problems.append("the group clients is missing or empty: list the Pis there")
        problems += [f"{group} is not a group of Bramble's: did you mean {near[0]}?" for group, near in _near_groups(groups)]
        seen: dict[str, list[str]] = {}
        for host in groups.get("all", []):
            for sentence in misspelt(set(self._inventory_names(task_vars, host)), known):
                seen.setdefault(sentence, []).append(host)
        problems += [f"{sentence} (set for {', '.join(hosts[:3])}{' ...' if len(hosts) > 3 else ''})" for sentence, hosts in seen.items()]
        if problems:
            raise AnsibleActionFail("The inventory does not work out: " + "; ".join(problems))
        return {"changed": False}

    @staticmethod
    def _inventory_names(task_vars: dict[str, Any], host: str) -> list[str]:
        # Role defaults and facts are in hostvars as well; the first are known, the second start with ansible_.
        return [str(name) for name in task_vars["hostvars"].raw_get(host) if not str(name).startswith("ansible_")]


def _near_groups(groups: dict[str, Any]) -> list[tuple[str, list[str]]]:
    ours = ("server", "inspector", "clients")
    strange = [name for name in groups if name not in (*ours, "all", "ungrouped")]
    return [(name, near) for name in strange if (near := difflib.get_close_matches(name, ours, n=1, cutoff=NEAR))]
