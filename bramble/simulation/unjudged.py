"""A server without judgement, which no server is: to show what a strategy is worth alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bramble_server.learning.judge import Judge, Report, Verdict


class Unjudged(Judge):
    """Has every update count as it is."""

    def verdicts(self, reports: Sequence[Report], model_norm: float, compared: bool = True) -> dict[str, Verdict]:
        """Let all count."""
        return {report.client: Verdict(None, report.samples, 1.0) for report in reports}

    def explosion(self, reports: Sequence[Report], pooled: Mapping[str, float]) -> str | None:
        """Have no round refused."""
        return None
