"""The page that a browser gets where a program's GET would start something: what is, links, and buttons that POST."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from flask import Response, g, request
from jinja2 import Environment

from bramble_protocol.scopes import SCOPES
from bramble_server.installed import release
from bramble_server.web import query

if TYPE_CHECKING:
    from bramble_server.foundation import Foundation
    from bramble_server.rounds.view import Progress
    from bramble_server.web import Services

READINGS = 24
_LINKS = {
    "status": "what is going on",
    "clients": "who is there",
    "rounds?limit=20": "the last rounds",
    "model/clients?weights=0": "each client's latest update",
    "metrics": "for Prometheus",
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --line: #8884; --accent: #a61e4d; }
body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
h1 { margin: 0; } h1 a { color: inherit; text-decoration: none; }
p.about { margin-top: 0; opacity: .75; }
form { display: inline-block; margin: 0 .5rem .5rem 0; }
button { font: inherit; padding: .45rem .9rem; border: 1px solid var(--accent); border-radius: .4rem; cursor: pointer; }
button { background: var(--accent); color: #fff; }
a.reset { margin-left: .5rem; }
ul { padding-left: 1.2rem; } code { font-size: .9em; }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: .5rem; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    # not `no-referrer`: a browser would then post with `Origin: null`, as it does for a page that hides where it comes from
    "Referrer-Policy": "same-origin",
}
_TEMPLATE = Environment(autoescape=True).from_string("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bramble</title>
<style>{{ style }}</style>
</head>
<body>
<h1><a href="./">Bramble</a></h1>
<p class="about">Server {{ release }}, {{ mode }} mode, task{{ "s" if tasks|length > 1 }} {{ tasks|join(", ", attribute="task") }}</p>
{% if said %}
<p role="status"><strong>{{ said }}</strong></p>
<p><a href="./">Back</a></p>
{% elif path == "/reset" and task %}
<p><strong>Reset task {{ task }}?</strong> The server forgets the rounds and models of this task and starts again from its initial model.
Readings and the other tasks stay. There is no way back.</p>
{% if "admin" in opens %}
<form method="post" action="reset?task={{ task|urlencode }}"><button>Reset {{ task }}</button></form> <a href="./">Cancel</a>
{% else %}
<p>This takes a token with the scope admin. <a href="./">Back</a></p>
{% endif %}
{% elif path == "/reset" %}
<p><strong>Reset the whole fleet?</strong> The server forgets its readings, rounds and models and starts again from the initial model.
Every client forgets its readings too. There is no way back.</p>
{% if "admin" in opens %}
<form method="post" action="reset"><button>Reset everything</button></form> <a href="./">Cancel</a>
{% else %}
<p>This takes a token with the scope admin. <a href="./">Back</a></p>
{% endif %}
{% else %}
{% for each in tasks %}
<p>{% if tasks|length > 1 %}<strong>{{ each.task }}:</strong> {% endif %}{{ each.round }} {{ each.clients }}</p>
{% if "operate" in opens and tasks|length > 1 %}
<form method="post" action="./?task={{ each.task|urlencode }}"><button>Start a round of {{ each.task }}</button></form>
{% if each.stops %}
<form method="post" action="stop?task={{ each.task|urlencode }}"><button>Stop those of {{ each.task }}</button></form>
{% endif %}
{% if "admin" in opens %}<a class="reset" href="reset?task={{ each.task|urlencode }}">Reset {{ each.task }} …</a>{% endif %}
{% endif %}
{% endfor %}
{% if tasks|length > 1 %}
<p><strong>All tasks:</strong></p>
{% endif %}
{% if "operate" in opens %}
{% if tasks|length == 1 %}
<form method="post" action="./"><button>Start a round</button></form>
{% if tasks[0].stops %}<form method="post" action="stop"><button>Stop the rounds</button></form>{% endif %}
{% endif %}
{% if mode == "evaluation" %}
<form method="post" action="generate"><button>Generate {{ readings }} readings</button></form>
{% endif %}
{% if "admin" in opens %}<a class="reset" href="reset">Reset …</a>{% endif %}
{% else %}
<p>Your token may look, and start nothing.</p>
{% endif %}
<section>
<p>What a program reads:</p>
<ul>
{% for link, what in links.items() %}<li><a href="{{ link }}"><code>/{{ link }}</code></a> {{ what }}</li>
{% endfor %}</ul>
<p>The page with the plots is the inspector's: <code>bramble inspector --server {{ url }}</code></p>
</section>
{% endif %}
</body>
</html>
""")


def page(services: Services) -> Response:
    """Return the page for the path that was asked."""
    return _render(services, None, 200)


def told(services: Services, answer: Response) -> Response:
    """Return a starter's answer, JSON for programs, as a page for the person who pressed its button."""
    said: dict[str, Any] = answer.get_json()
    return _render(services, said.get("error") or _sentence(request.path, said), answer.status_code)


def _sentence(path: str, said: dict[str, Any]) -> str:
    if path == "/":
        return f"Round {said['round']} is running with {_clients(len(said['clients']))}."
    if path == "/stop":
        return "No round is running." if said["round"] is None else f"Round {said['round']} has ended, and no other follows."
    if path == "/generate":
        return f"Cycle {said['cycle']} has begun with {_clients(said['clients'])}."
    if task := query.asked()["task"]:
        return f"Task {task} is back at its initial model; told were {_clients(said['clients'])}."
    return f"The server is back at the initial model and told {_clients(said['clients'])}."


def _render(services: Services, said: str | None, status: int) -> Response:
    visitor, view = g.get("visitor"), services.coordinator.view
    text = _TEMPLATE.render(
        style=_STYLE,
        said=said[:1].upper() + said[1:] if said else None,
        path=request.path,
        release=release(),
        mode=services.settings.mode,
        task=None if said or (task := query.asked().get("task")) is None else services.track(task).task,
        tasks=[_task(services, track, view.tasks[track.task]) for track in services.tracks],
        opens=visitor.opens if visitor else frozenset(SCOPES),
        readings=READINGS,
        links=_LINKS,
        url=request.host_url.rstrip("/"),
    )
    return Response(text, status, _HEADERS, mimetype="text/html")


def _task(services: Services, track: Foundation, progress: Progress) -> dict[str, str | bool]:
    """Return what is said of a task."""
    task, needed = track.task, track.settings.min_clients
    running = f"; round {progress.running} is running" if progress.running else ""
    last = f"The last committed round is {progress.model.round}" if progress.model.round else "No round has been committed yet"
    unfit = len(services.registry) - services.registry.ready(task)
    others = f", {unfit} of them not able to train it" if unfit else ""
    clients = f"{_clients(len(services.registry))} connected{others}; a round needs {needed}."
    stops = track.settings.discipline == "asynchronous"
    return {"task": task, "round": f"{last}{running}.", "clients": clients, "stops": stops}


def _clients(count: int) -> str:
    return f"{count} client" if count == 1 else f"{count} clients"
