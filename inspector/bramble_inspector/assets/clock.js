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
    fetch("_alive", { cache: "no-store", signal: stop.signal })
      .then(function (answer) { gone = !answer.ok; }, function () { gone = true; })
      .then(function () { clearTimeout(timer); looking = false; });
  }

  function next(tick, asked, drawn) {
    var same = window.dash_clientside.no_update;
    var answered = asked == null || (drawn && drawn.answered === asked);
    if (answered) gone = false;
    else if (Date.now() - sent > PATIENCE_MS / 3) look();
    var shown = gone ? "gone shown" : "gone";
    if (!answered && Date.now() - sent <= PATIENCE_MS) return [same, shown];
    sent = Date.now();
    return [tick || 0, shown];
  }

  return { next: next };
})();
