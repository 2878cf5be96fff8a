/* Cells of the fleet table that are more than text. */
var cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

cells.Swatch = function (props) {
  return React.createElement(
    "span",
    null,
    React.createElement("i", { className: "dot", style: { background: props.data.colour } }),
    props.data.shown
  );
};

cells.State = function (props) {
  return React.createElement("span", { className: "state " + props.value }, props.value);
};
