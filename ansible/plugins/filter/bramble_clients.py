"""What the clients of a host are called there. Nothing else in the plays tells a host's only client from one of several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

ROOM = 23
"""Characters that ``bramble_`` leaves of a user's name, which has 31 at most; an id has 63."""


def bramble_clients(only: str, several: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return what each client of a host is called there: the only one by the plain names, several with their ids in them.

    Parameters
    ----------
    only
        The id of the host's client where its inventory lists no others.
    several
        The ids that it lists.

    Returns
    -------
    list of dict
        Of each its ``id``, the ``name`` of its settings and token in ``/etc/bramble``, its ``unit``, the ``file`` that is the unit's,
        the folder of its ``data``, and a ``user`` if that of the unit's file would have too long a name.
    """
    if not several:
        unit = "bramble-client.service"
        return [{"id": only, "name": "client", "unit": unit, "file": unit, "data": "/var/lib/bramble-client"}]
    return [_one_of_several(name) for name in several]


def bramble_clients_of(units: Sequence[str], only: str) -> list[dict[str, str]]:
    """Return the same for the clients that some units run: those of a release, which may be of a day when the inventory listed others."""
    return bramble_clients(only, [unit.partition("@")[2].removesuffix(".service") for unit in units if "@" in unit])


def _one_of_several(name: str) -> dict[str, str]:
    unit, data = f"bramble-client@{name}.service", f"/var/lib/bramble-client/{name}"
    names = {"id": name, "name": f"client-{name}", "unit": unit, "file": "bramble-client@.service", "data": data}
    return names if len(name) <= ROOM else {**names, "user": f"bramble_{hashlib.sha256(name.encode()).hexdigest()[:16]}"}


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, str]]]]:
        """Return the filters by name."""
        return {"bramble_clients": bramble_clients, "bramble_clients_of": bramble_clients_of}
