"""The fleet's record, ``/opt/bramble/fleet.json`` on the server's host: what runs now, what ran before, and where a rollback goes.

It holds ``now`` and ``before``, each host to component to release; ``begun``, the hosts of a roll-out or rollback that is under way or was
stopped; and ``back``, whether it is a rollback. As long as a roll-out is not over, ``now`` is what the fleet had until then, and where
a rollback goes. A rollback changes both at its begin, so that a run that was cut is finished by the next and not taken back by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Record = dict[str, Any]
Releases = Mapping[str, Mapping[str, str]]
"""Host to component to release."""


def read(fleet: str) -> Record:
    """Return the record, an empty one for a text that is none."""
    try:
        record = json.loads(fleet)
    except ValueError:
        record = {}
    return {"now": {}, "before": {}, "begun": [], "back": False, **(record if isinstance(record, dict) else {})}


def bramble_live(hosts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return host to component to the release that runs there, as far as this run knows."""
    return {host["inventory_hostname"]: dict(host["release_live"]) for host in hosts if host["release_live"]}


def bramble_seen(hosts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return host to component to the release that a look found there."""
    found = {host["inventory_hostname"]: host["bramble_host"]["components"] for host in hosts}
    return {host: {name: there["current"] for name, there in parts.items() if there["current"]} for host, parts in found.items()}


def bramble_roll_out_begins(fleet: str, seen: Releases, hosts: Iterable[str]) -> str:
    """Return the record when a roll-out begins.

    Parameters
    ----------
    fleet
        The record so far.
    seen
        What runs, for hosts of which the record knows nothing.
    hosts
        Those that are to be served.
    """
    record = read(fleet)
    now = {**seen, **record["now"]}
    return _text({**record, "now": {host: {**seen.get(host, {}), **now[host]} for host in now}, "begun": sorted(hosts), "back": False})


def bramble_rolled_out(fleet: str, seen: Releases, live: Releases) -> str:
    """Return the record after a roll-out that was not stopped.

    Parameters
    ----------
    fleet
        The record as it was before the roll-out: none after release 0.1, or where it is lost.
    seen
        What ran then, for hosts of which the record knows nothing.
    live
        What runs now on the hosts that it knows of.
    """
    begun = read(bramble_roll_out_begins(fleet, seen, []))
    return _text({**_shifted(begun, live), "begun": [], "back": False})


def bramble_rollback_begins(fleet: str, to: Releases, hosts: Iterable[str]) -> str:
    """Return the record when a rollback begins, with the releases that it goes to and the hosts that are not there yet.

    After a roll-out that was stopped that is where the fleet was anyway: nothing changes, and one more rollback goes nowhere else.
    """
    record = read(fleet)
    shifted = _shifted(record, to)
    if record["begun"] and shifted["now"] == record["now"]:
        return _text(record)
    return _text({**shifted, "begun": sorted(hosts), "back": True})


def bramble_rolled_back(fleet: str, reached: Iterable[str]) -> str:
    """Return the record after a rollback that was not stopped: those that nobody reached go there with the next."""
    record = read(fleet)
    return _text({**record, "begun": sorted({*record["begun"]} - {*reached})} if record["back"] else record)


def _shifted(record: Record, live: Releases) -> Record:
    after = {**record["now"], **{host: {**record["now"].get(host, {}), **releases} for host, releases in live.items()}}
    return record if after == record["now"] else {**record, "now": after, "before": record["now"]}


def _text(record: Record) -> str:
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def bramble_back(fleet: str, host: str, components: Mapping[str, Mapping[str, Any]], named: str = "") -> dict[str, str]:
    """Return component to the release that a host goes back to, an empty text where there is none.

    Parameters
    ----------
    fleet
        The record.
    host
        Its name.
    components
        What a look saw of them.
    named
        A release by its name or its version, to go to instead of the one that the fleet had.
    """
    return {
        name: _named(there, named) if named else _fitting(there, _meant(fleet, host, name, there)) for name, there in components.items()
    }


def bramble_back_away(fleet: str, hosts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return host to component to release for hosts that nobody reached: where they go when they are back."""
    record = read(fleet)
    return {host: dict(record["now" if record["begun"] else "before"].get(host, {})) for host in hosts}


def bramble_behind(components: Mapping[str, Mapping[str, Any]], to: Mapping[str, str]) -> list[str]:
    """Return the components of a host that are not at these releases, or do not run what is there."""
    return [
        name
        for name, there in components.items()
        if there["current"] != to[name] or there["not_live"] or any(unit["given"] != "same" for unit in there["units"].values())
    ]


def bramble_no_way_back(fleet: str, host: str, components: Mapping[str, Mapping[str, Any]], named: str = "") -> list[str]:
    """Return a sentence for each component of a host that cannot go back."""
    sentences = []
    for name, release in bramble_back(fleet, host, components, named).items():
        there = components[name]
        known = there["releases"].get(release, {"complete": False, "fits": False})
        if not (known["complete"] and known["fits"]):
            fit = " and ".join(_usable(there)) or "none that it could run"
            wanted = f"release {named or release}" if named or release else "earlier release"
            another = " for the Python that it has now" if known["complete"] else ""
            sentences.append(
                f"{host} has no {wanted} of the {name} to roll back to{another}: it has {fit}. Name one of its releases with "
                "-e release_version=..., or run deploy.yml from the sources of the one that it is to run."
            )
    return sentences


def bramble_doubt(fleet: str, server: str, back: Releases) -> str:
    """Return a sentence if there is no record and the hosts went different ways, for then none of them knows what the fleet had.

    After a roll-out that was stopped, what ran before on a host that it had not reached is a release too far back.
    """
    record = read(fleet)
    hosts: dict[str, list[str]] = {}
    for host, releases in back.items():
        for version in sorted({_version(release) for release in releases.values() if release}):
            hosts.setdefault(version, []).append(host)
    if record["now"] or record["before"] or len(hosts) < 2:
        return ""
    ways = [f"{version} on {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" for version, names in sorted(hosts.items())]
    return (
        f"What the fleet had is not known, for /opt/bramble/fleet.json on {server} is gone, and what ran before differs "
        f"({'; '.join(ways)}): nothing was changed. Say which version all of them are to run with -e release_version=..."
    )


def _meant(fleet: str, host: str, component: str, there: Mapping[str, Any]) -> str:
    record = read(fleet)
    now, before = (record[when].get(host, {}).get(component, "") for when in ("now", "before"))
    return str((now if record["begun"] else before) or ("" if now or before else there["previous"]))


def _named(there: Mapping[str, Any], named: str) -> str:
    fit = [name for name in _usable(there) if named in (name, _version(name))]
    return there["current"] if there["current"] in fit else fit[0] if fit else ""


def _fitting(there: Mapping[str, Any], release: str) -> str:
    """Return a release, or where a host has got another Python meanwhile, the same one for that."""
    if release in there["releases"] and not there["releases"][release]["fits"]:
        alike = [name for name in _usable(there) if _version(name) == _version(release)]
        same = [name for name in alike if name.rsplit("-", 1)[-1] == release.rsplit("-", 1)[-1]]
        return [*same, *alike, release][0]
    return release


def _usable(there: Mapping[str, Any]) -> list[str]:
    """Return the releases that a host can switch to, the one first that was live last."""
    fit = {name: known for name, known in there["releases"].items() if known["complete"] and known["fits"]}
    return sorted(fit, key=lambda name: (name == there["current"], fit[name]["since"]), reverse=True)


def _version(release: str) -> str:
    return release.split("-")[0]


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        functions: list[Callable[..., Any]] = [bramble_live, bramble_seen, bramble_roll_out_begins, bramble_rolled_out]
        functions += [bramble_rollback_begins, bramble_rolled_back, bramble_back, bramble_back_away, bramble_behind]
        functions += [bramble_no_way_back, bramble_doubt]
        return {function.__name__: function for function in functions}
