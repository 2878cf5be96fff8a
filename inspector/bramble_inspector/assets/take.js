/* Takes a plot along as PNG, SVG or CSV, and a table as CSV: one listener for every panel, and nothing leaves this browser. */
(function () {
  var KINDS = ["PNG", "SVG", "CSV"];

  function save(name, text) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }

  /* RFC 4180; what a spreadsheet would take for a formula is text (OWASP, CSV injection). */
  function cell(value) {
    if (value == null) return "";
    var text = typeof value === "number" ? String(value) : String(value).trim();
    if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text) && isNaN(Number(text.replace("%", "")))) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function lines(rows) { return rows.map(function (row) { return row.map(cell).join(","); }).join("\r\n") + "\r\n"; }

  function list(values) { return values == null ? [] : Array.from(values._inputArray || values); }

  function drawn(plot) {
    var rows = [["trace", "x", "y", "value"]];
    plot.data.forEach(function (trace) {
      var x = list(trace.x), y = list(trace.y), base = list(trace.base);
      if (trace.z) {
        Array.from(trace.z).forEach(function (row, place) {
          Array.from(row).forEach(function (value, at) { rows.push([trace.name, x[at], y[place], value]); });
        });
        return;
      }
      for (var place = 0; place < Math.max(x.length, y.length); place++) {
        rows.push([trace.meta ? trace.meta + " " + trace.name : trace.name, x[place], y[place], base[place]]);
      }
    });
    return lines(rows);
  }

  function listed(table) {
    return lines(Array.from(table.rows).map(function (row) {
      return Array.from(row.cells).map(function (one) { return one.innerText; });
    }));
  }

  function content(panel) { return panel.querySelector(".js-plotly-plot, .rows table"); }

  function take(panel, kind) {
    var what = content(panel);
    if (!what) return;
    var name = "bramble-" + panel.querySelector("h2").textContent.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    if (what.matches(".js-plotly-plot")) {
      if (kind === "CSV") return save(name + ".csv", drawn(what));
      window.Plotly.downloadImage(what, { format: kind.toLowerCase(), filename: name, scale: kind === "PNG" ? 2 : 1 });
    } else {
      save(name + ".csv", listed(what));
    }
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-take]");
    if (button) take(button.closest(".panel"), button.dataset.take);
  });

  /* A panel offers what its content can be had as, as soon as there is any. */
  function offer() {
    document.querySelectorAll(".panel > .panel-head, .panel.fleet").forEach(function (head) {
      var panel = head.closest(".panel"), what = content(panel);
      var kinds = !what ? [] : what.matches(".js-plotly-plot") ? ((what.data || []).length ? KINDS : []) : ["CSV"];
      var box = panel.querySelector(".take");
      if (box && box.dataset.kinds === kinds.join()) return;
      if (box) box.remove();
      if (!kinds.length) return;
      box = document.createElement("div");
      box.className = "take";
      box.dataset.kinds = kinds.join();
      kinds.forEach(function (kind) {
        var button = document.createElement("button");
        button.type = "button";
        button.dataset.take = kind;
        button.textContent = kind;
        button.setAttribute("aria-label", panel.querySelector("h2").textContent + " as " + kind);
        box.append(button);
      });
      panel.append(box);
    });
  }
  setInterval(offer, 500);
})();
