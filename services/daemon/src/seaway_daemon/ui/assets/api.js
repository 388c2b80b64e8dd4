// The daemon's /fleet API: plain requests, and streams of JSON lines. Every failure is an Error with the daemon's sentence.

async function answered(response) {
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`;
  try { text = (await response.json()).message ?? text; } catch { /* no JSON: the status has to do */ }
  throw Object.assign(new Error(text), { status: response.status });
}

export function path(place, query = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") words.append(name, value);
  return words.size ? `${place}?${words}` : place;
}

export async function get(place, query) {
  const response = await answered(await fetch(path(place, query), { headers: { Accept: "application/json" } }));
  return response.json();
}

export async function post(place, body = {}) {
  const headers = { "Content-Type": "application/json" };
  const response = await answered(await fetch(place, { method: "POST", headers, body: JSON.stringify(body) }));
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

// Calls `tell` with each line's value until the stream ends or `signal` stops it.
export async function lines(place, query, tell, signal) {
  const response = await answered(await fetch(path(place, query), { signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part.trim()) tell(JSON.parse(part));
  }
}
