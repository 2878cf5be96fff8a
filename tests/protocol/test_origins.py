"""Requests that a page of another site makes a browser send, told from those of this machine's own pages and of programs."""

from __future__ import annotations

import socket

import pytest

from bramble_protocol.origins import KnownHosts, foreign

HOST = {"Host": "hub.local:8050"}


@pytest.mark.parametrize("host", ["localhost:8050", "LOCALHOST", "[::1]:5000", "10.0.0.7", "hub.local", "hub.local.", socket.gethostname()])
def test_this_machines_names_and_addresses_are_known(host: str) -> None:
    assert KnownHosts().know(host)


@pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "10.0.0.7.evil.example", "]", "[::1", "a:b:c"])
def test_a_name_that_anybody_could_point_here_is_not(host: str) -> None:
    assert not KnownHosts().know(host)


def test_further_names_are_told_one_by_one() -> None:
    hosts = KnownHosts("Fleet.example, other.example")
    assert hosts.know("fleet.example:80")
    assert hosts.know("other.example")


@pytest.mark.parametrize(("scheme", "header"), [(None, None), ("https", None), ("http", "Origin")])
def test_who_may_stand_behind_a_proxy_believes_an_origin_of_either_scheme(scheme: str | None, header: str | None) -> None:
    assert foreign({**HOST, "Origin": "https://hub.local:8050"}, scheme) == header


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "ftp://hub.local:8050/x", "://", "\xf8"])
def test_an_origin_that_is_not_this_one_is_foreign_by_whatever_scheme(origin: str) -> None:
    assert foreign({**HOST, "Origin": origin}, None) == "Origin"
