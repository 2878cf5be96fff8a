/* Lets one request for news be under way at a time, and says so when nobody answers. */
window.dash_clientside = window.dash_clientside || {};

window.dash_clientside.inspector = (function () {
  var PATIENCE_MS = 6000;
  var sent = 0;

  function next(tick, asked, drawn) {
    var same = window.dash_clientside.no_update;
    var answered = asked == null || (drawn && drawn.answered === asked);
    var late = Date.now() - sent > PATIENCE_MS;
    if (!answered && !late) return [same, same];
    sent = Date.now();
    return [tick || 0, answered ? "gone" : "gone shown"];
  }

  return { next: next };
})();
