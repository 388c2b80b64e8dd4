// One container: what it is, and its log as it is written.

import { lines } from "./api.js";
import { kind, name } from "./containers.js";
import { el, state } from "./dom.js";

const KEPT = 2000;
let following = null;

export function close() {
  following?.abort();
  following = null;
  const drawer = document.getElementById("drawer");
  drawer.hidden = true;
  drawer.replaceChildren();
}

export function open(container) {
  close();
  const drawer = document.getElementById("drawer");
  const log = el("pre", { class: "log", tabindex: 0, "aria-label": "Log" });
  const facts = { Host: container.Node, Image: container.Image, Command: container.Command, Status: container.Status, Id: container.Id,
    Labels: Object.entries(container.Labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ") };
  drawer.replaceChildren(
    el("header", {}, el("h2", {}, name(container)), state(container.State, kind(container)), el("button", { class: "end", on: { click: close } }, "Close")),
    el("dl", {}, Object.entries(facts).filter(([, value]) => value).flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, String(value))])),
    log);
  drawer.hidden = false;
  drawer.querySelector("button").focus();
  following = new AbortController();
  follow(container, log, following.signal);
}

async function follow(container, log, signal) {
  const tell = (line) => {
    const down = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(el("span", { class: line.Stream === "stderr" ? "err" : "" }, `${line.Line}\n`));
    while (log.childElementCount > KEPT) log.firstElementChild.remove();
    if (down) log.scrollTop = log.scrollHeight;
  };
  try {
    await lines("/fleet/logs", { node: container.Node, container: container.Id, follow: 1, tail: 200 }, tell, signal);
  } catch (error) {
    if (!signal.aborted) log.append(el("span", { class: "err" }, `${error.message}\n`));
  }
}
