"""What there is to do, in lists and lines, as the plays ask for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.bramble.fleet.plugins.plugin_utils.reasons import different


def bramble_early(wanted: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return the components of which a host lacks identity that is to be there before any part of the fleet is upgraded."""
    early = {name: {path: file for path, file in wanted[name]["identity"].items() if file["early"]} for name in wanted["units"]}
    return [component for component, files in early.items() if different(files, host["files"])]


def bramble_missing(wanted: Mapping[str, Any], host: Mapping[str, Any], what: str = "releases") -> list[str]:
    """Return the components whose release, or whose packages, a host has not got, or not all of it."""
    missing = []
    for component in wanted["units"]:
        there = host["components"][component]
        packages = wanted[component]["packages"] in there["packages"]
        if not packages or (what == "releases" and not there["releases"].get(wanted[component]["release"], {}).get("complete")):
            missing.append(component)
    return missing


def bramble_lines(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one line for each host that there is something to do at."""
    reasons = {host["inventory_hostname"]: list(itertools.chain.from_iterable(host["deploy_reasons"].values())) for host in hosts}
    return [f"{name}: {'; '.join(dict.fromkeys(why))}" for name, why in reasons.items() if why]


def bramble_unseen(status: str, clients: list[str], version: str) -> dict[str, str]:
    """Return which of some clients the server does not see well, at a version or with an empty one at any, and what it sees instead."""
    seen, unseen = json.loads(status)["clients"] if status.startswith("{") else {}, {}
    for name in clients:
        client = seen.get(name)
        if client is None:
            unseen[name] = f"the server has never seen {name}"
        elif not client["connected"]:
            unseen[name] = f"the server sees {name} gone"
        elif version and client["version"] != version:
            unseen[name] = f"the server sees {name} at version {client['version']}"
        elif not client["fresh"]:
            unseen[name] = f"the server sees no fresh sample of {name}"
    return unseen


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "bramble_early": bramble_early,
            "bramble_missing": bramble_missing,
            "bramble_lines": bramble_lines,
            "bramble_unseen": bramble_unseen,
        }
