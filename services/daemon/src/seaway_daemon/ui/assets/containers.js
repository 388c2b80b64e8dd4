// All containers of all hosts in one table; a row opens what it is and its live log.

import { el, opening, state, table } from "./dom.js";
import { matches, since } from "./words.js";

const KIND = { running: "good", paused: "busy", restarting: "busy", dead: "bad" };
const SHOWN = 500;

export const name = (container) => (container.Names?.[0] ?? container.Id.slice(0, 12)).replace(/^\//, "");
const ports = (container) => [...new Set((container.Ports ?? []).filter((port) => port.PublicPort).map((port) => `${port.PublicPort}→${port.PrivatePort}/${port.Type}`))].join(", ");

export function kind(container) {
  return /unhealthy/.test(container.Status ?? "") ? "bad" : KIND[container.State] ?? "";
}

export function view(data, go, memory) {
  const word = el("input", { type: "search", placeholder: "name, image, host, label …", "aria-label": "Filter", value: memory.word ?? "" });
  const all = el("input", { type: "checkbox", id: "all", checked: memory.all });
  const place = el("div");
  const fill = () => {
    memory.word = word.value;
    memory.all = all.checked;
    const found = data.containers.filter((each) => (all.checked || each.State === "running" || each.State === "paused" || each.State === "restarting")
      && matches(word.value, [name(each), each.Image, each.Node, each.State, each.Id, ...Object.entries(each.Labels ?? {}).map(([key, value]) => `${key}=${value}`)]));
    const rows = found.slice(0, SHOWN).map((each) => opening(() => go("containers", undefined, each),
      el("td", {}, el("b", {}, name(each))), el("td", {}, each.Node), el("td", {}, each.Image), el("td", {}, state(each.State, kind(each))),
      el("td", { class: "dim" }, each.Status ?? ""), el("td", {}, ports(each)), el("td", { class: "number dim" }, since(each.Created))));
    const more = found.length > SHOWN ? el("p", { class: "dim" }, `… and ${found.length - SHOWN} more: say which you mean`) : null;
    place.replaceChildren(...[rows.length ? table(["Name", "Host", "Image", "State", "Status", "Ports", { number: "Age" }], rows) : el("p", { class: "empty" }, "No container is like that."), more].filter(Boolean));
  };
  word.addEventListener("input", fill);
  all.addEventListener("change", fill);
  fill();
  return el("section", {}, el("div", { class: "tools" }, word, el("label", { for: "all" }, all, " stopped ones, too")), place);
}
