/* Cells of the fleet table that are more than text. */
var cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

cells.Swatch = function (props) {
  return React.createElement(
    "span",
    null,
    React.createElement("i", { className: "dot", style: { background: props.data.colour } }),
    props.data.link ? React.createElement("a", { href: props.data.link, "data-go": "" }, props.data.shown) : props.data.shown
  );
};

cells.State = function (props) {
  return React.createElement("span", { className: "state " + props.value }, props.value);
};

/* A link in a cell shows its page without loading anything anew, as all others do. */
document.addEventListener("click", function (event) {
  var link = event.target.closest && event.target.closest("a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  window.history.pushState({}, "", link.href);
  window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  window.scrollTo(0, 0);
});
