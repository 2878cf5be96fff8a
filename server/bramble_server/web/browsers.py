"""Whether a program asks or a browser. A program's GET and POST start things; of a browser only what this server's own page posts.

What a page of another site can make a browser send, it sends with the person's own reach into the local network: an image,
a script, a form, a fetch whose answer nobody reads. The headers that tell are those that a page cannot leave out or set, see
:mod:`bramble_protocol.origins`.
"""

from __future__ import annotations

from werkzeug.datastructures import Headers

from bramble_protocol import origins

_TELLTALES = ("Origin", "Referer", "Accept-Language", "Cookie", "Upgrade-Insecure-Requests")
_PROGRAMS_ACCEPT = ("*/*", "application/", "text/plain")


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

    Parameters
    ----------
    scheme
        How this server was reached, ``http`` or ``https``.
    """
    told = "Sec-Fetch-Site" in headers or "Origin" in headers
    return origins.foreign(headers, scheme) if told else "Accept" if wants_page(headers) else None
