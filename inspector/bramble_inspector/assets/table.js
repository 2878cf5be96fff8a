/* Lays out the fleet's table, of what the page was told: thousands of cells, which are slow as components. Texts stay texts. */
(function () {
  function make(name, attributes, content) {
    var node = document.createElement(name);
    Object.keys(attributes).forEach(function (key) { if (attributes[key] != null) node.setAttribute(key, attributes[key]); });
    if (content != null) node.append(content);
    return node;
  }

  /* A column is sorted by the page's own choice of the order, which the address keeps. */
  function head(column, sort) {
    var up = sort === column.sort, down = sort === "-" + column.sort;
    var cell = make("th", { scope: "col", title: column.hint || null, class: column.number ? "number" : null });
    if (!column.sort) {
      cell.append(column.title);
      return cell;
    }
    if (up || down) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
    var button = make("button", { type: "button" }, column.title);
    button.addEventListener("click", function () {
      window.dash_clientside.set_props("fleet-sort", { value: up && column.sort !== "attention" ? "-" + column.sort : column.sort });
      window.dash_clientside.set_props("fleet-page", { value: 1 });
    });
    cell.append(button);
    return cell;
  }

  function client(row) {
    var name = row.link ? make("a", { href: row.link, "data-go": "" }, row.shown) : row.shown;
    var cell = make("th", { scope: "row", title: row.client, "data-column": "client" });
    var dot = make("i", { class: "dot" });
    dot.style.background = row.colour;
    if (row.colour !== "transparent") cell.append(dot);
    cell.append(name);
    return cell;
  }

  function cell(text, column) {
    if (column.field === "state") text = make("span", { class: "state " + text }, text);
    var look = column.number ? "number" : column.field === "remark" ? "remark" : null;
    return make("td", { "data-column": column.field, class: look }, text);
  }

  function table(shown) {
    var place = document.getElementById("fleet");
    if (!place || !shown) return;
    if (!shown.rows.length) return place.replaceChildren(make("p", { class: "empty" }, "No client to show: none was seen yet, or none is like this."));
    var body = shown.rows.map(function (row) {
      var line = make("tr", { "data-client": row.client }, client(row));
      shown.columns.slice(1).forEach(function (column, at) { line.append(cell(row.cells[at + 1], column)); });
      return line;
    });
    var heads = make("tr", {});
    shown.columns.forEach(function (column) { heads.append(head(column, shown.sort)); });
    var whole = make("table", {}, make("thead", {}, heads)), held = document.activeElement, title = held && held.textContent;
    var rows = make("tbody", {});
    rows.append.apply(rows, body);
    whole.append(rows);
    var kept = held && place.contains(held) && held !== place;
    place.replaceChildren(whole);
    if (kept) { // whoever goes by the keyboard stays where they were
      var same = Array.from(place.querySelectorAll("button, a")).find(function (one) { return one.textContent === title; });
      if (same) same.focus({ preventScroll: true });
    }
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.table = { show: table };

  /* A link in a cell shows its page without loading anything anew, as all others do. */
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[data-go]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    window.history.pushState({}, "", link.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  });
})();
