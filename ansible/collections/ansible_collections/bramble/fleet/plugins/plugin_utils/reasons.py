"""Why there is something to do at a host: what it is to have, compared with what it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

BASE = "opt/bramble/base"
"""Holds the digest of the base's files, written once all that they need was done."""


def reasons_of(wanted: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return per component of a host, and for its ``base``, why there is something to do; what is as it should be is left out.

    Parameters
    ----------
    wanted
        What ``bramble_wanted`` worked out.
    host
        What ``bramble_host`` saw.
    """
    found = {"base": _base(wanted["base"], host)}
    for component in wanted["units"]:
        found[component] = _component(component, wanted[component], host["components"][component], host)
    return {component: reasons for component, reasons in found.items() if reasons}


def settled(wanted: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, str]:
    """Return component to release for those at which nothing is to be done."""
    reasons = reasons_of(wanted, host)
    return {component: wanted[component]["release"] for component in wanted["units"] if component not in reasons}


def _base(wanted: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    changed = different(wanted["files"], host["files"])
    if changed:
        return [f"the base changed ({', '.join(changed)})"]
    noted = hashlib.sha256(f"{wanted['settings']}\n".encode()).hexdigest()
    return [] if (host["files"].get(BASE) or {}).get("sha256") == noted else ["the base is not finished"]


def _component(component: str, wanted: Mapping[str, Any], there: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    if not there["current"]:
        return [f"the {component} is not there yet"]
    reasons, release = [], wanted["release"]
    known = there["releases"].get(release, {"complete": False, "proved": False})
    if there["current"] != release:
        reasons.append(_why_another(component, wanted, there))
    elif not known["complete"] or wanted["packages"] not in there["packages"]:
        reasons.append(f"the {component} is to be installed anew")
    elif there["not_live"]:
        reasons.append(f"{', '.join(map(_name, there['not_live']))} is not as the {component} wants it")
    elif not known["proved"]:
        reasons.append(f"the {component} has not passed its gate yet")
    if f"bramble-{component}" not in host["users"]:
        reasons.append(f"user bramble-{component} is missing")
    if changed := different(wanted["identity"], host["files"]):
        reasons.append(f"identity changed ({', '.join(changed)})")
    if there["current"] == release:
        reasons += [reason for name, unit in there["units"].items() if (reason := _why_restart(name.removesuffix(".service"), unit))]
    return reasons


def different(files: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that are missing on a host, or are others there."""
    alike = ("sha256", "mode", "owner")
    return sorted({_name(path) for path, file in files.items() if {key: file[key] for key in alike} != there.get(path)})


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _why_another(component: str, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    parts, new = there["current"].split("-"), wanted["release"].split("-")
    if parts[0] != new[0] or len(parts) != len(new):
        return f"{component} {parts[0]} is to be {wanted['version']}"
    if parts[1:-1] != new[1:-1]:
        return f"the {component} was made for {'-'.join(parts[1:-1])}"
    files = {path: file["sha256"] for path, file in wanted["files"].items()}
    changed = {path for path in files.keys() | there["files"].keys() if files.get(path) != there["files"].get(path)}
    return f"settings changed ({', '.join(sorted(set(map(_name, changed))))})"


def _why_restart(name: str, unit: Mapping[str, Any]) -> str:
    if unit["state"] != "active":
        return f"{name} is not running ({unit['state']})"
    if unit["reload"] or unit["given"] != "same":
        return f"{name} runs with something else than is there"
    return "" if unit["enabled"] else f"{name} does not start at boot"
