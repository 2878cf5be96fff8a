"""Every error as JSON: ``{"error": "<one sentence>"}``."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from bramble_protocol.errors import BrambleError
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.rounds.writer import InternalError, RefusedError
from bramble_server.store import StoreError

STATUS = {"busy": 409, "too few clients": 503, "private mode": 403, "unknown model": 404, "unknown task": 404, "not in quarantine": 404}
"""Kind of refusal -> HTTP status."""


class RequestError(BrambleError):
    """A request is not in order."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, headers or {}


def register(app: Flask, limited_log: RateLimitedLog) -> None:
    """Answer every error of an application with a sentence."""

    @app.errorhandler(RequestError)
    def request_error(error: RequestError) -> Response:
        return _answer(error.status, str(error), error.headers)

    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return _answer(STATUS.get(error.code, 409), str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        sentence = {
            404: f"nothing is at {request.path[:200]}",
            405: f"{request.method} is not taken at {request.path[:200]}",
        }.get(error.code or 500, error.name.lower())
        headers = dict(error.get_headers()) if error.code == 405 else {}
        return _answer(error.code or 500, sentence, {"Allow": headers["Allow"]} if "Allow" in headers else None)

    @app.errorhandler(Exception)
    def failure(error: Exception) -> Response:
        if isinstance(error, StoreError):  # said by the store, once for all
            return _answer(503, str(error))
        asked, address = f"{request.method} {request.path}", str(request.remote_addr)
        if isinstance(error, InternalError):
            limited_log.about(asked, str(error), logging.ERROR, address=address)
            return _answer(503, str(error))
        if isinstance(error, BrambleError):  # said on purpose, in a sentence for who asked
            limited_log.about(asked, str(error), logging.WARNING, address=address)
            return _answer(409, str(error))
        limited_log.about(asked, "failed; nothing else is affected", logging.ERROR, address=address, error=error)
        return _answer(500, "the server could not do that, its log says why")


def _answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    response = jsonify(error=sentence)
    response.status_code = status
    response.headers.update(headers or {})
    return response
