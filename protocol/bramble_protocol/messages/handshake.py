"""What a client says of itself when it connects, and what it is told then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import fields, groups
from bramble_protocol.errors import ProtocolError

MAX_CHANNELS = 64
MAX_FEATURES = 64
SINCE_2 = ("features", "instance", "groups")
"""Fields that version 1 does not have."""
NOTICES = ("channels", "name")
"""What a server's notice may be about: channels that do not fit the task, a name that two clients have."""


@dataclass(frozen=True)
class Channel:
    """A channel that a client offers: its key and its unit, for instance ``temperature`` in ``°C``."""

    key: str
    unit: str

    @classmethod
    def from_wire(cls, value: Any) -> Channel:
        """Read and check the wire form."""
        item = fields.mapping(value, "channel", ("key", "unit"))
        return cls(fields.key(item["key"], "channel.key"), fields.label(item["unit"], "channel.unit", 20))


@dataclass(frozen=True)
class Handshake:
    """What a client says of itself when it connects."""

    protocol: int
    client_id: str
    token: str | None = field(default=None, repr=False)
    simulated: bool = False
    channels: tuple[Channel, ...] = ()
    version: str = ""
    features: tuple[str, ...] = ()
    """What it can do beyond the contract's first version, by name; a name that the server does not know means nothing to it."""
    instance: str = ""
    """Random for each process, so that two clients with one id can be told from one that came back."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What its owner sorts it by, such as ``building: north``."""

    @classmethod
    def from_wire(cls, value: Any) -> Handshake:
        """Read and check the wire form. Whether the version and the token are good is the server's question."""
        since_2 = SINCE_2 if isinstance(value, dict) and value.get("protocol") != 1 else ()
        item = fields.mapping(value, "handshake", ("protocol", "client_id"), ("token", "simulated", "channels", "version", *since_2))
        channels, features = item.get("channels", []), item.get("features", [])
        if not isinstance(channels, list) or len(channels) > MAX_CHANNELS:
            raise ProtocolError(f"channels: expected a list of at most {MAX_CHANNELS}")
        if not isinstance(features, list) or len(features) > MAX_FEATURES:
            raise ProtocolError(f"features: expected a list of at most {MAX_FEATURES} names")
        return cls(
            protocol=fields.integer(item["protocol"], "protocol", 0, 10**6),
            client_id=fields.text(item["client_id"], "client_id", 63, fields.CLIENT_ID),
            token=fields.optional(fields.text, item.get("token"), "token"),
            simulated=fields.flag(item.get("simulated", False), "simulated"),
            channels=tuple(Channel.from_wire(channel) for channel in channels),
            version=fields.label(item.get("version", ""), "version", 40),
            features=tuple(fields.text(name, "features", 63, fields.FEATURE) for name in features),
            instance=fields.text(item.get("instance", ""), "instance", 64, fields.INSTANCE),
            groups=groups.from_wire(item.get("groups", {})),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form; a handshake of version 1 has the fields of that version."""
        wire = {**asdict(self), "channels": [asdict(channel) for channel in self.channels], "features": list(self.features)}
        return {name: value for name, value in wire.items() if self.protocol != 1 or name not in SINCE_2}


@dataclass(frozen=True)
class Notice:
    """Server to one client, since version 2: what a person who reads this client's log should know. Nothing is to be done by itself."""

    about: str
    """One of ``NOTICES``."""
    sentence: str

    @classmethod
    def from_wire(cls, value: Any) -> Notice:
        """Read and check the wire form."""
        item = fields.mapping(value, "notice", ("about", "sentence"))
        about, sentence = item["about"], fields.text(item["sentence"], "notice.sentence")
        if about not in NOTICES or not sentence.isprintable():
            raise ProtocolError(f"notice: expected a printable sentence about one of {', '.join(NOTICES)}")
        return cls(about, sentence)

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)
