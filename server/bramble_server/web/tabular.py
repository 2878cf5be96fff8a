"""Lists as CSV: where ``?format=csv`` or the Accept header asks for it."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from bramble_protocol import tables
from bramble_server.web import query

FORMAT = query.word("json", "csv")
CSV = "text/csv"


def wanted() -> bool:
    """Whether the request that is answered is for CSV. What the query says goes before the header."""
    asked: str | None = query.asked()["format"]
    if asked is not None:
        return asked == "csv"
    return request.accept_mimetypes.best_match(["application/json", CSV], "application/json") == CSV


def answer(table: str, found: Any) -> Response:
    """Return an answer's rows as CSV.

    Parameters
    ----------
    table
        Which, of ``bramble_protocol.tables``.
    found
        What JSON would have.
    """
    response = Response(tables.as_csv(table, found), content_type=f"{CSV}; charset=utf-8; header=present")
    response.headers.update({"Vary": "Accept", "Content-Disposition": f"inline; filename={table}.csv"})
    return response
