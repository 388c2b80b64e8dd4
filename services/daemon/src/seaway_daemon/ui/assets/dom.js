// Elements from names and children. Text only ever becomes text: a container may be called "<script>".

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (key === "part") made.style.setProperty("--part", `${Math.max(0, Math.min(100, value))}%`);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function table(titles, rows) {
  const head = titles.map((title) => el("th", { scope: "col", class: typeof title === "string" ? "" : "number" }, String(title.number ?? title)));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

// A row that opens something, by click or by Enter.
export function opening(act, ...cells) {
  const key = (event) => { if (event.key === "Enter") act(); };
  return el("tr", { tabindex: 0, on: { click: act, keydown: key } }, cells);
}

export function state(word, kind) {
  return el("span", { class: `state ${kind}` }, word);
}
