"""Why a server's certificate is refused, and what to do about it."""

from __future__ import annotations

import ssl
import time

from bramble_protocol.clock import Clock

NOT_YET_VALID, EXPIRED, OTHER_NAME, OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's ``X509_V_ERR_*``."""


def refusal(error: ssl.SSLCertVerificationError, clock: Clock = time) -> str:
    """Return a sentence's end that follows on the server's name."""
    today = time.strftime("%Y-%m-%d", time.gmtime(clock.time()))
    if error.verify_code == EXPIRED:
        return f"its certificate has expired by this machine's clock ({today}): deploy again, which makes a new one, or set the clock"
    if error.verify_code == NOT_YET_VALID:
        return f"its certificate is not valid yet by this machine's clock ({today}): set the clock, see timedatectl"
    if error.verify_code in (OTHER_NAME, OTHER_ADDRESS):
        return "its certificate is for another name: reach it by a name that the certificate has, or deploy again"
    return f"its certificate is not trusted: {error.verify_message}; name its authority with --ca"
