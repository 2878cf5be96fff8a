/* Where a session ended under an open page: says so, and logs in again on the spot, so that nothing on the page is lost. */
(function () {
  var ask = window.fetch;
  var dialog = null;

  window.fetch = function () {
    return ask.apply(this, arguments).then(function (answer) {
      var login = answer.headers.get("Bramble-Login");
      if (login) offer(login);
      return answer;
    });
  };

  function field(label, attributes) {
    var holder = document.createElement("label");
    var input = document.createElement("input");
    holder.append(label, Object.assign(input, attributes));
    return holder;
  }

  function offer(login) {
    if (dialog) return;
    dialog = document.createElement("dialog");
    dialog.className = "session";
    var title = Object.assign(document.createElement("h2"), { textContent: "Your session has ended", id: "session-title" });
    var text = Object.assign(document.createElement("p"), { textContent: "Log in again, and this page goes on where it is." });
    var wrong = Object.assign(document.createElement("p"), { className: "wrong" });
    wrong.setAttribute("role", "alert");
    var form = document.createElement("form");
    form.append(
      field("Name", { name: "name", autocomplete: "username", autocapitalize: "none", maxLength: 63, required: true }),
      field("Password", { name: "password", type: "password", autocomplete: "current-password", maxLength: 1000, required: true }),
      wrong,
      Object.assign(document.createElement("button"), { textContent: "Log in" })
    );
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      wrong.textContent = "";
      ask(login, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) })
        .then(function (answer) {
          if (answer.ok) return done();
          return answer.json().then(function (told) { wrong.textContent = told.error; });
        })
        .catch(function () { wrong.textContent = "The inspector does not answer; try again."; });
    });
    dialog.setAttribute("aria-labelledby", "session-title");
    dialog.append(title, text, form);
    dialog.addEventListener("cancel", function (event) { event.preventDefault(); }); // there is nothing to do without it
    document.body.append(dialog);
    dialog.showModal();
  }

  function done() {
    dialog.close();
    dialog.remove();
    dialog = null;
  }
})();
