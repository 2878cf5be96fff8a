"""What can be chosen by its name: what comes with Bramble, and what other packages offer by an entry point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bramble_protocol import plugins
from bramble_protocol.errors import BrambleError
from bramble_server.learning.parameters import close, fault

T = TypeVar("T")


@dataclass(frozen=True)
class Offered(Generic[T]):
    """The kinds of one thing, by name; a package's are imported if they are chosen, and only then."""

    what: str
    """What a sentence calls it; also the setting that chooses one."""
    group: str
    """The entry point."""
    builtin: Mapping[str, type[T]]
    """Those that come with Bramble. No package can take one of these names."""
    base: Any = field(repr=False)
    """What all of them derive from; it has ``takes``, the class of its parameters."""
    wrong: Callable[[type[Any]], str | None] = lambda kind: None
    """Says what else is wrong with a class of another package, or None."""

    def names(self) -> list[str]:
        """Return all names, Bramble's and other packages'; nothing is imported for it."""
        return [*self.builtin, *sorted({point.name for point in plugins.entry_points(self.group)} - self.builtin.keys())]

    def kind(self, name: str) -> type[T]:
        """Return the class of a name.

        Raises
        ------
        BrambleError
            If there is none of that name, or the package that offers it is broken: then the sentence names that package.
        """
        if name in self.builtin:
            return self.builtin[name]
        points = plugins.entry_points(self.group, name)
        if not points:
            known = self.names()
            raise BrambleError(f"{self.what}: {name[:100]!r} is not one of {', '.join(known)}{close(name, known)}")
        what = f"{self.what}: {name!r}"
        point = plugins.one(points, what)
        found = plugins.loaded(point, what)
        if wrong := self._fault(found):
            raise BrambleError(f"{what} of {plugins.owner(point)} cannot be used: {wrong}; ask its author")
        kind: type[T] = found  # type: ignore[assignment]
        return kind

    def _fault(self, found: Any) -> str | None:
        if not inspect.isclass(found) or not issubclass(found, self.base):
            return f"{' '.join(repr(found).split())[:80]} is not a {self.base.__name__}"
        kind: Any = found
        if inspect.isabstract(kind):
            return f"{kind.__name__} lacks {', '.join(sorted(kind.__abstractmethods__))}"
        return self.wrong(kind) or fault(kind.takes)
