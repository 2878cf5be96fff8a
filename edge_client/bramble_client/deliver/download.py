"""Fetching graphs from the server over HTTP, with the same token and the same trust as the link."""

from __future__ import annotations

import logging
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from bramble_client.deliver import route
from bramble_protocol import BrambleError, signatures
from bramble_protocol.clock import Clock
from bramble_protocol.graph import LARGEST

PATIENCE_S = 600.0
"""Seconds for a whole download."""


AROUND = 6000
"""Bytes of a request beside what it fetches: hands that are shaken, certificates, heads."""
FETCHES, FETCH_WAIT_S = 3, 60.0
"""Attempts to fetch a graph, and seconds that each waits for the link."""

log = logging.getLogger(__name__)


class DownloadFailed(BrambleError):
    """A graph did not come; the text says why, ``passing`` whether it may come at another time."""

    def __init__(self, sentence: str, passing: bool) -> None:
        super().__init__(sentence)
        self.passing = passing


class GraphDownload:
    """Returns a graph's bytes for its digest. Whether they have that digest is for the caller to check.

    Parameters
    ----------
    server
        Root of the server.
    token
        Shown as a bearer token, if there is one.
    tls
        Returns what verifies the server, for ``https``; asked before each request.
    timeout
        Seconds without a byte after which the server counts as gone.
    proxy
        The one HTTP proxy to use, or None.
    clock
        Says when a whole download has taken too long.
    """

    def __init__(
        self,
        server: str,
        token: str | None,
        tls: Callable[[], ssl.SSLContext] | None,
        timeout: float = 30.0,
        proxy: str | None = None,
        clock: Clock = time,
    ) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout, self._clock = timeout, clock
        self._tls, self._proxy = tls, proxy
        self.carried = 0
        """Bytes that came and went, as far as is known."""

    def __call__(self, sha256: str) -> bytes:
        """Fetch one graph.

        Raises
        ------
        DownloadFailed
            If the server refuses, does not answer, breaks off, or sends without end.
        """
        return self._get(f"{sha256}.tflite", f"graph {sha256[:12]}", LARGEST)

    def signatures(self, sha256: str) -> bytes:
        """Fetch the file of a graph's signatures; it is empty where the server has none, or is of a release without them.

        Raises
        ------
        DownloadFailed
            As for a graph.
        """
        try:
            return self._get(f"{sha256}.sig", f"signatures of graph {sha256[:12]}", signatures.LARGEST)
        except DownloadFailed as error:
            if isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code == 404:
                return b""
            raise

    def serves(self, sha256: str) -> bool:
        """Return whether the server has a graph; where it does not say, it may."""
        request = urllib.request.Request(f"{self._server}/graphs/{sha256}.tflite", headers=self._headers, method="HEAD")
        try:
            with route.opener(self._tls and self._tls(), self._proxy).open(request, timeout=self._timeout):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code != 404
        except (OSError, ValueError, HTTPException):
            return True

    def _get(self, path: str, name: str, most: int) -> bytes:
        request = urllib.request.Request(f"{self._server}/graphs/{path}", headers=self._headers)
        end, data = self._clock.monotonic() + PATIENCE_S, bytearray()
        try:
            with route.opener(self._tls and self._tls(), self._proxy).open(request, timeout=self._timeout) as response:
                self.carried += AROUND
                while len(data) <= most and (part := response.read1(most + 1 - len(data))):
                    data += part
                    self.carried += len(part)
                    if self._clock.monotonic() > end:
                        raise DownloadFailed(f"{name}: only {len(data)} bytes came in {PATIENCE_S:g} s", True)
                expected = response.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            with error:
                raise DownloadFailed(f"{name}: the server answered HTTP {error.code}", error.code >= 500) from error
        except (OSError, ValueError) as error:
            raise DownloadFailed(f"{name}: {getattr(error, 'reason', None) or error}", True) from error
        except HTTPException as error:
            raise DownloadFailed(f"{name}: {route.NOT_HTTP}", True) from error
        if len(data) > most:
            raise DownloadFailed(f"{name}: more than {most} bytes", False)
        if expected is not None and len(data) != int(expected):
            raise DownloadFailed(f"{name}: broke off after {len(data)} of {expected} bytes", True)
        return bytes(data)


def patiently(fetch: Callable[[str], bytes], wait_up: Callable[[float], object]) -> Callable[[str], bytes]:
    """Return what fetches the same, and again when the network failed meanwhile and is back.

    Parameters
    ----------
    wait_up
        Waits so many seconds at most for the link to be up.
    """

    def fetched(sha256: str) -> bytes:
        for _ in range(FETCHES - 1):
            wait_up(FETCH_WAIT_S)
            try:
                return fetch(sha256)
            except DownloadFailed as error:
                if not error.passing:
                    raise
                log.info("%s; fetching it again", error)
        return fetch(sha256)

    return fetched
