"""What a server reads of its settings' files before it opens anything: the graph of its task, and who signed it."""

from __future__ import annotations

from typing import NamedTuple

from bramble_protocol import codecs
from bramble_protocol.graph import GraphFile
from bramble_server import tasks
from bramble_server.learning import strategies
from bramble_server.settings import ServerSettings
from bramble_server.store import dialect


class Foundation(NamedTuple):
    """What a server is built on."""

    graph: GraphFile
    signatures: bytes
    """The file of signatures beside a graph of one's own; empty without one."""


def read(settings: ServerSettings) -> Foundation:
    """Read the files that the settings name, and refuse the names that nothing has.

    Nothing is opened, made or started: this also judges settings on a machine on which they are not to run.

    Raises
    ------
    BrambleError
        If a server could not start with them, in one sentence.
    """
    graph, signatures = tasks.load(settings.task, settings.horizon), tasks.signatures_of(settings.task)
    codecs.encoded_size(graph.manifest.layout, settings.encoding)
    strategies.choose(settings.strategy, settings.strategy_option)
    if settings.database:
        dialect.parse(settings.database)
    return Foundation(graph, signatures)
