// A page of somebody else: it takes the widget from where it is told, and puts it at its end.

const { package: home, ...attributes } = Object.fromEntries(new URLSearchParams(location.search));
await import(`${home}/prover/widget.js`);
const widget = document.createElement("crowdfold-widget");
for (const [name, value] of Object.entries(attributes)) widget.setAttribute(name, value);
document.body.append(widget);
