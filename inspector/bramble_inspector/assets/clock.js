/* Lets one request for news be under way at a time, and says so when nobody answers. */
window.dash_clientside = window.dash_clientside || {};

window.dash_clientside.inspector = (function () {
  var PATIENCE_MS = 6000; // for an answer
  var SILENCE_MS = 30000; // for any sign of life
  var sent = 0;
  var gone = false;
  var looking = false;

  /* An inspector that is busy answers this, be it late; one that has ended refuses it at once. */
  function look() {
    if (looking) return;
    looking = true;
    var stop = new AbortController();
    var timer = setTimeout(function () { stop.abort(); }, SILENCE_MS);
    fetch(base() + "_alive", { cache: "no-store", signal: stop.signal })
      .then(function (answer) { gone = !answer.ok; }, function () { gone = true; })
      .then(function () { clearTimeout(timer); looking = false; });
  }

  /* `drawn` has what each part of the page was last told. A part that was just put there asks by itself. */
  function next(tick, asked, drawn) {
    var same = window.dash_clientside.no_update;
    var answered = asked == null || drawn.every(function (one) { return one && one.answered === asked; });
    if (answered) gone = false;
    else if (Date.now() - sent > PATIENCE_MS / 3) look();
    var shown = gone ? "gone shown" : "gone";
    if (!answered && Date.now() - sent <= PATIENCE_MS) return [same, shown];
    sent = Date.now();
    return [tick || 0, shown];
  }

  /* The path that the inspector is served under. */
  function base() {
    return JSON.parse(document.getElementById("_dash-config").textContent).requests_pathname_prefix;
  }

  /* Have the address say what is picked. The router does not hear of it, so nothing on the page is made anew. */
  function keep() {
    var picks = Array.prototype.slice.call(arguments);
    var names = picks.pop();
    var query = new URLSearchParams(window.location.search);
    names.forEach(function (name, place) {
      var value = Array.isArray(picks[place]) ? picks[place].join(",") : picks[place];
      if (value) query.set(name, value);
      else query.delete(name);
    });
    var search = query.toString();
    window.history.replaceState(window.history.state, "", window.location.pathname + (search ? "?" + search : ""));
    return window.dash_clientside.no_update;
  }

  return { next: next, keep: keep };
})();
