"""What somebody probably meant who wrote a name that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like another, or has it for its initials (``lr`` for ``learning_rate``); None if none is near."""
    names = list(known)
    initials = [each for each in names if len(name) > 1 and "".join(part[0] for part in re.split("[_-]+", each) if part) == name.lower()]
    return next(iter([*initials, *get_close_matches(name, names, 1)]), None)
