"""Refuse an inventory that misspells a variable or a value or lacks a group, before any host is touched."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.bramble.fleet.plugins.plugin_utils.names import CLIENT_ID, client_id
from ansible_collections.bramble.fleet.plugins.plugin_utils.variables import known_variables, unfit

from ansible.plugins.action import ActionBase

PREFIXES = ("monitoring_", "preflight_", "wheelhouse_", "identity_", "base_", "release_", "server_", "inspector_", "client_")
INSTEAD = "server_tasks"
TAKES_THE_PLACE_OF = ("server_task", "server_graph")
NEAR = 0.85
"""How alike a variable of nobody's must be to one of ours to count as a misspelling of it."""


def misspelt(names: set[str], known: Iterable[str]) -> list[str]:
    """Return one sentence for each name that no role knows and that was meant to be one."""
    sentences, known = [], set(known)
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if name.startswith(PREFIXES) else NEAR)
        if near or name.startswith(PREFIXES):
            sentences.append(f"{name} is not a variable of any role" + (f": did you mean {near[0]}?" if near else ""))
    return sentences


def torn(values: Mapping[str, Any]) -> list[str]:
    """Return a sentence if it is said twice what the fleet learns, or that it learns nothing."""
    given = [name for name in TAKES_THE_PLACE_OF if name in values]
    if INSTEAD in values and given:
        return [f"{INSTEAD} and {' and '.join(given)} both say what the fleet learns: say all of it in {INSTEAD}"]
    return [f"{INSTEAD} names no task: name one, or delete the line"] if values.get(INSTEAD) == [] else []


def misnamed(clients: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return one sentence for each id that no client may have, and for each that two of them would have."""
    sentences: list[str] = []
    owners: dict[str, str] = {}
    for host, values in clients.items():
        named = values.get("client_instances") or [values.get("client_id", client_id(host))]
        for name in named if isinstance(named, list) else ():
            if name is None or isinstance(name, bool | list | dict):
                continue  # another kind of value is refused as such
            if not isinstance(name, str) or not CLIENT_ID.fullmatch(name):
                variable = "client_instances" if values.get("client_instances") else "client_id"
                sentences.append(f"{variable} of {host} names {name!r}: an id has 1 to 63 of a-z, 0-9 and '-', the first no '-'")
            elif name in owners:
                sentences.append(f"{owners[name]} and {host} would both be {name} in the fleet: give one of them another client_id")
            else:
                owners[name] = host
    return sentences


class ActionModule(ActionBase):  # type: ignore[misc]
    """Check the groups and the variables of all hosts."""

    _requires_connection = False
    BYPASS_HOST_LOOP = True
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
        clients = {host: task_vars["hostvars"][host] for host in groups.get("clients", [])}
        problems += misnamed({host: values for host, values in clients.items() if values.get("client_state") != "absent"})
        seen: dict[str, list[str]] = {}
        for host in groups.get("all", []):
            values = self._inventory(task_vars["hostvars"], host, known)
            for sentence in misspelt(set(values), known) + unfit(values, known) + torn(values):
                seen.setdefault(sentence, []).append(host)
        problems += [f"{sentence} (set for {', '.join(hosts[:3])}{' ...' if len(hosts) > 3 else ''})" for sentence, hosts in seen.items()]
        if problems:
            raise AnsibleActionFail("The inventory does not work out: " + "; ".join(problems))
        return {"changed": False}

    @staticmethod
    def _inventory(hostvars: Any, host: str, known: Iterable[str]) -> dict[str, Any]:
        """Return what the inventory says about a host; a template that cannot be filled in yet is left to its role."""
        # Facts are in there as well; they start with ansible_.
        values: dict[str, Any] = {str(name): None for name in hostvars.raw_get(host) if not str(name).startswith("ansible_")}
        filled_in = hostvars[host]
        for name in values.keys() & set(known):
            del values[name]
            with contextlib.suppress(AnsibleError):
                values[name] = filled_in[name]
        return values


def _near_groups(groups: dict[str, Any]) -> list[tuple[str, list[str]]]:
    ours = ("server", "inspector", "clients")
    strange = [name for name in groups if name not in (*ours, "all", "ungrouped")]
    return [(name, near) for name in strange if (near := difflib.get_close_matches(name, ours, n=1, cutoff=NEAR))]
