"""Whether a program asks or a browser. A program's GET and POST start things; of a browser only what this server's own page posts.

What a page of another site can make a browser send, it sends with the person's own reach into the local network: an image,
a script, a form, a fetch whose answer nobody reads. The headers that tell are those that a page cannot leave out or set
(https://fetch.spec.whatwg.org/#forbidden-request-header, https://www.w3.org/TR/fetch-metadata/). Browsers send
``Sec-Fetch-Site`` only to https and loopback, and to them another port of one host is the same site: so it is not enough.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

_TELLTALES = ("Origin", "Referer", "Accept-Language", "Cookie", "Upgrade-Insecure-Requests")
_PROGRAMS_ACCEPT = ("*/*", "application/", "text/plain")
_PORTS = {"http": 80, "https": 443}


def telltale(headers: Headers) -> str | None:
    """Return the name of a header that only a browser's GET has, or None where a program asks.

    curl, wget and the usual libraries send none of them, and accept anything or JSON. A browser that asks for a script, a video
    or a page's fetch accepts anything too, but names itself and its language; for an image it accepts images.
    """
    for name in headers.keys():
        if name.lower().startswith("sec-"):
            return name
    for name in _TELLTALES:
        if name in headers:
            return name
    agent = headers.get("User-Agent", "").lower()
    if agent.startswith("mozilla/") and "powershell" not in agent:  # the shell of Windows calls itself so too; no page can
        return "User-Agent"
    kinds = [kind.strip().lower() for kind in headers.get("Accept", "").split(",") if kind.strip()]
    return None if all(kind.startswith(_PROGRAMS_ACCEPT) and "html" not in kind for kind in kinds) else "Accept"


def wants_page(headers: Headers) -> bool:
    """Whether a person looks at the answer: a browser goes to this address."""
    return "text/html" in headers.get("Accept", "").lower()


def fetches_ahead(headers: Headers) -> bool:
    """Whether a browser asks before anybody has: prefetch, prerender, preview."""
    purpose = " ".join(headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz")).lower()
    return any(word in purpose for word in ("prefetch", "prerender", "preview"))


def foreign(headers: Headers, scheme: str) -> str | None:
    """Return the header by which a request that changes something comes from another origin's page, or None.

    Every browser says of a POST where it comes from, in ``Origin`` (``null`` where a page hides it), and newer ones in
    ``Sec-Fetch-Site`` as well. The latter is the browser's own word on the address that it asked, so it holds behind a proxy too.

    Parameters
    ----------
    scheme
        How this server was reached, ``http`` or ``https``.
    """
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        return None if site.strip().lower() == "same-origin" else "Sec-Fetch-Site"
    if origin is not None:
        return None if _origin(origin) == _origin(f"{scheme}://{headers.get('Host', '')}") is not None else "Origin"
    return "Accept" if wants_page(headers) else None


def _origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what is no origin, such as ``null``."""
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port
