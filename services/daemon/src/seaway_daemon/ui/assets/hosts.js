// A card for each host: how it is, how full, and which versions it runs.

import { el, state } from "./dom.js";
import { bytes, since, usual } from "./words.js";

const KIND = { ready: "good", draining: "busy", silent: "busy", lost: "bad" };

function meter(name, part, text) {
  return el("div", { class: part > 90 ? "meter high" : "meter" }, name, el("i", { part }), el("span", { class: "number" }, text));
}

function card(host, ordinary, open) {
  const used = host.Memory ? 100 * (1 - host.MemoryAvailable / host.Memory) : 0;
  const load = host.Cpus ? (100 * host.Load) / host.Cpus : 0;
  const versions = Object.entries(host.Versions ?? {}).sort();
  const odd = versions.filter(([service, version]) => ordinary[service] !== version);
  const same = [...new Set(versions.map(([, version]) => version))];
  return el("article", { class: host.State === "lost" ? "card lost" : "card", "data-host": host.Node },
    el("header", {}, el("h2", {}, host.Node), state(host.State, KIND[host.State] ?? ""),
      el("span", { class: "dim small end" }, host.Hub ? "hub · " : "", host.Role ?? "")),
    el("div", { class: "dim small" }, [host.System, host.Kernel, host.Address].filter(Boolean).join(" · ")),
    meter("load", load, (host.Load ?? 0).toFixed(2)),
    meter("memory", used, bytes((host.Memory ?? 0) - (host.MemoryAvailable ?? 0))),
    el("div", { class: "tools", style: "margin:.7rem 0 0" },
      el("button", { on: { click: () => open(host.Node) } }, `${host.Running ?? 0} running`),
      el("span", { class: "dim small" }, `${host.Stopped ?? 0} stopped`, host.Paused ? ` · ${host.Paused} paused` : "", host.Unhealthy ? ` · ${host.Unhealthy} unhealthy` : ""),
      host.State === "lost" ? el("span", { class: "dim small end" }, `silent for ${since(host.SeenAt)}`) : null),
    el("div", { class: "tags" },
      same.length === 1 ? el("span", { class: "tag" }, `all ${same[0]}`) : versions.map(([service, version]) => el("span", { class: odd.some(([name]) => name === service) ? "tag odd" : "tag" }, `${service} ${version}`)),
      Object.entries(host.Labels ?? {}).map(([key, value]) => el("span", { class: "tag" }, `${key}=${value}`))));
}

export function view(data, go) {
  const hosts = data.hosts;
  if (!hosts.length) return el("p", { class: "empty" }, "This host is in no fleet. Make one with “seaway fleet init”.");
  const ordinary = usual(hosts);
  const sorted = [...hosts].sort((a, b) => (a.State === "lost") - (b.State === "lost") || a.Node.localeCompare(b.Node, undefined, { numeric: true }));
  return el("div", { class: "hosts" }, sorted.map((host) => card(host, ordinary, (name) => go("containers", name))));
}
