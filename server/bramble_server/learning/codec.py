"""How a round's updates travel back to the server, by name, and what can be set of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble_protocol import codecs
from bramble_protocol.codecs import topk
from bramble_protocol.errors import BrambleError
from bramble_server.learning import parameters
from bramble_server.learning.parameters import Chosen, Parameters, parameter


@dataclass(frozen=True)
class Share(Parameters):
    """What can be set of ``topk``."""

    share: float = parameter(0.01, "Part of the weights that a client sends: those that moved most.", least=1e-6, most=topk.MOST)


TAKES: Mapping[str, type[Parameters]] = {**dict.fromkeys(codecs.CODECS, Parameters), topk.NAME: Share}
"""What can be set of each codec."""


@dataclass(frozen=True)
class Choice(Chosen):
    """A codec and what was set of it: how updates travel."""

    @property
    def encoding(self) -> str:
        """What messages call it."""
        return topk.spelt(self.parameters.share) if isinstance(self.parameters, Share) else self.name


def named(name: str, options: Mapping[str, Any]) -> Choice:
    """Return the codec that settings name.

    Parameters
    ----------
    options
        Values of parameters by name, as settings have them.

    Raises
    ------
    BrambleError
        If there is no such codec or parameter, or a value is of another type or out of range.
    """
    if name not in TAKES:
        raise BrambleError(f"codec: {name[:100]!r} is not one of {', '.join(TAKES)}{parameters.close(name, TAKES)}")
    return Choice(name, parameters.read(TAKES[name], options, name, "codec_option"))
