"""Short explanations of the words that plots and tables use, for whoever meets them first."""

from __future__ import annotations

from typing import Any

from dash import html

from bramble_inspector import parts

WORDS = {
    "loss": "What training makes smaller: the mean error of the model on a client's own windows, in the scale that it learns in. Before: "
    "the global model as it came; after: what the client made of it.",
    "baseline": "What a forecast without any learning would miss by, on the same readings: mostly persistence, “it stays as it is now”. A "
    "model that is not below it is of no use yet.",
    "test error": "The error on readings that arrived since the round before, which nobody has trained on.",
    "cosine": "How far a client's update points to where all of them together point: 1 the same way, 0 across, below 0 against.",
    "divergence": "How far a client's model ends from the global one. One that is far off, round after round, has other data than the "
    "rest, or something wrong.",
    "staleness": "How many rounds old the model was that an update began from. 0 where all train on the newest.",
    "epsilon": "How much at most anybody can learn from the models about one client's part, with differential privacy on: 1 is little, "
    "10 is not. It grows with every round.",
    "champion": "The best model so far, by the test error of the round after. It is what clients use, unless another one is pinned.",
    "cohort": "The clients that a round asked.",
}


def explain(*words: str) -> Any:
    """Return the explanations of some of them, folded up."""
    found = [part for word in words for part in (html.Dt(word), html.Dd(WORDS[word]))]
    return html.Details(
        [html.Summary("What the words mean"), html.Dl(found), html.P(parts.rich("All the others: `docs/glossary.md`."))], className="words"
    )
