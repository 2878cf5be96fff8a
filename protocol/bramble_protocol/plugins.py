"""What other packages bring along by entry points: sensors, chips, channels, strategies, tasks and readings, all in one way.

Nothing of a package is imported before it is named: one that is broken costs nobody else anything. Most clients never ask, so what it
takes to ask is loaded only then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from bramble_protocol.errors import BrambleError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str, name: str | None = None) -> tuple[EntryPoint, ...]:
    """Return what the installed packages register in a group, or of that what has a name."""
    from importlib import metadata

    return tuple(metadata.entry_points(group=group) if name is None else metadata.entry_points(group=group, name=name))


def owner(point: EntryPoint) -> str:
    """Return the package that registers it, with its version; where nobody knows, what it would import."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def one(points: Iterable[EntryPoint], what: str) -> EntryPoint:
    """Return what is registered under a name, if that is one thing.

    Parameters
    ----------
    points
        All that are, at least one.
    what
        How a sentence begins that is about them, such as ``strategy: 'fedfade'``.

    Raises
    ------
    BrambleError
        If there are several; the sentence names their packages.
    """
    found = list(points)
    if len(found) > 1:
        owners = sorted({owner(point) for point in found})
        if len(owners) == 1:
            raise BrambleError(f"{what} is offered twice by {owners[0]}; ask its author")
        raise BrambleError(f"{what} is offered by {' and '.join(owners)}; remove all but one of them")
    return found[0]


def loaded(point: EntryPoint, what: str) -> object:
    """Import what a package registers.

    Raises
    ------
    BrambleError
        If that fails, whatever its module does; the sentence begins with ``what`` and names the package.
    """
    try:
        found: object = point.load()
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())[:200]
        raise BrambleError(
            f"{what} of {owner(point)} does not import ({type(error).__name__}: {said}); repair or remove that package"
        ) from error
    return found


def taken(group: str, own: Collection[str], what: str) -> list[tuple[str, str]]:
    """Return the names that packages offer though they are Bramble's own, each with a sentence: what they offer is never used."""
    why = "is never used, for Bramble has one of this name; ask its author for another"
    return [(point.name, f"{what}: {point.name!r} of {owner(point)} {why}") for point in entry_points(group) if point.name in own]
