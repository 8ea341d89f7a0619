// Shows openapi.json, and tries requests that only read.

const description = await (await fetch("/openapi.json")).json();

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

function resolved(schema) {
  const path = schema?.$ref?.slice(2).split("/");
  return path ? path.reduce((at, key) => at[key], description) : schema;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const parts = schema.oneOf ?? schema.allOf ?? schema.anyOf;
  if (parts) return parts.map(typeOf).join(schema.allOf ? " and " : " or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.enum) return schema.enum.map((value) => `"${value}"`).join(" or ");
  return [schema.type].flat().map((type) => (type === "null" ? "nothing" : type)).join(" or ");
}

function table(head, rows) {
  const row = (kind, cells) => element("tr", {}, ...cells.map((cell) => element(kind, {}, cell)));
  return element("table", {}, row("th", head), ...rows.map((cells) => row("td", cells)));
}

function fields(schema) {
  let found = resolved(schema);
  if (found?.type === "array") found = resolved(found.items);
  const parts = (found?.allOf ?? [found]).map(resolved).filter((part) => part?.properties);
  const rows = parts.flatMap((part) =>
    Object.entries(part.properties).map(([name, field]) => [name, typeOf(field), field.description ?? ""]));
  return rows.length ? [table(["field", "type", "meaning"], rows)] : [];
}

function contents(content) {
  return Object.entries(content ?? {}).flatMap(([kind, { schema }]) =>
    [element("p", {}, element("code", {}, kind), schema ? ` ${typeOf(schema)}` : ""), ...fields(schema)]);
}

function trial(path, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) =>
    [parameter, element("input", { placeholder: parameter.required ? "needed" : "" })]);
  const answer = element("pre", { hidden: true, tabIndex: 0 });
  const button = element("button", { type: "button" }, "Try it");
  button.onclick = async () => {
    let url = path;
    const query = new URLSearchParams();
    for (const [{ name, in: place }, { value }] of inputs) {
      if (place === "path") url = url.replace(`{${name}}`, encodeURIComponent(value));
      else if (place === "query" && value) query.set(name, value);
    }
    const token = document.querySelector("#token").value;
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    answer.hidden = false;
    try {
      const response = await fetch(query.size ? `${url}?${query}` : url, { headers });
      const kind = response.headers.get("content-type") ?? "";
      const body = await (kind.includes("octet-stream") ? response.blob() : response.text());
      let text = typeof body === "string" ? body : `${body.size} bytes`;
      if (kind.includes("json")) text = JSON.stringify(JSON.parse(text), null, 2);
      answer.textContent = `${response.status}\n${text}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  };
  const rows = inputs.map(([parameter, input]) => {
    input.ariaLabel = parameter.name;
    return [`${parameter.name} (${parameter.in})`, input, parameter.description ?? ""];
  });
  return [...(rows.length ? [table(["parameter", "value", "meaning"], rows)] : []), button, answer];
}

function shown(path, method, operation) {
  const parameters = (operation.parameters ?? []).map((parameter) =>
    [`${parameter.name} (${parameter.in})`, typeOf(parameter.schema), parameter.description ?? ""]);
  const canTry = method === "get" && !operation.responses["200"]?.content?.["text/event-stream"];
  const needsToken = operation.security?.some((way) => "token" in way);
  return element("details", {},
    element("summary", {},
      needsToken ? element("span", { className: "lock" }, "token") : "",
      element("span", { className: "method" }, method.toUpperCase()), element("code", {}, path), ` ${operation.summary ?? ""}`),
    element("p", {}, operation.description ?? ""),
    ...(canTry ? trial(path, operation) : parameters.length ? [table(["parameter", "type", "meaning"], parameters)] : []),
    ...(operation.requestBody ? [element("h3", {}, "Body"), ...contents(operation.requestBody.content)] : []),
    element("h3", {}, "Answers"),
    ...Object.entries(operation.responses).flatMap(([status, response]) =>
      [element("p", {}, element("strong", {}, status), ` ${response.description ?? ""}`), ...contents(response.content)]));
}

const operations = Object.entries(description.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
const sections = description.tags.map((tag) => ({
  tag, own: operations.filter(({ operation }) => operation.tags?.includes(tag.name)),
})).filter(({ own }) => own.length);
document.querySelector("#routes").replaceChildren(...sections.map(({ tag, own }) =>
  element("section", {}, element("h2", {}, tag.name), element("p", {}, tag.description),
    ...own.map(({ path, method, operation }) => shown(path, method, operation)))));
