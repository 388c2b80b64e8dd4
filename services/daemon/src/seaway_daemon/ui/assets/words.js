// Numbers as people say them. Pure.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytes(count) {
  let unit = 0;
  let value = Number(count) || 0;
  while (value >= 1000 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

export function span(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60]]) if (all >= size) return `${Math.floor(all / size)} ${name}`;
  return `${all} s`;
}

// A time of the API: RFC 3339, or seconds since the epoch.
export function seconds(time) {
  if (typeof time === "number") return time;
  const parsed = Date.parse(time);
  return Number.isNaN(parsed) ? 0 : parsed / 1000;
}

export function since(time, now = Date.now() / 1000) {
  const at = seconds(time);
  return at > 0 ? span(now - at) : "";
}

export function clock(time) {
  return new Date(seconds(time) * 1000).toLocaleTimeString();
}

// The version that most hosts have of each service: what differs from it is odd.
export function usual(hosts) {
  const counts = {};
  for (const host of hosts) for (const [service, version] of Object.entries(host.Versions ?? {})) {
    counts[service] ??= {};
    counts[service][version] = (counts[service][version] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).map(([service, found]) => [service, Object.entries(found).sort((a, b) => b[1] - a[1])[0][0]]));
}

export function matches(text, parts) {
  return text.toLowerCase().split(/\s+/).filter(Boolean).every((word) => parts.some((part) => String(part ?? "").toLowerCase().includes(word)));
}
