// What happens in the fleet, newest first, as it happens.

import { el } from "./dom.js";
import { clock } from "./words.js";

export function view(data) {
  if (!data.events.length) return el("p", { class: "empty" }, "Nothing has happened since this page was opened.");
  return el("div", { class: "scroll" }, el("ol", { class: "events" }, data.events.map((event) => {
    const actor = event.Actor?.Attributes ?? {};
    return el("li", {}, el("span", { class: "dim" }, clock(event.time)), el("span", {}, event.Node ?? ""), el("b", {}, `${event.Type} ${event.Action}`),
      el("span", {}, actor.name ?? (event.Actor?.ID ?? "").slice(0, 12), actor.image ? el("span", { class: "dim" }, ` ${actor.image}`) : null, actor.exitCode ? el("span", { class: "dim" }, ` ended with ${actor.exitCode}`) : null));
  })));
}
