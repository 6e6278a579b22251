// Requests to the management API, as whoever has logged in. Nothing is kept beyond the tab.

const key = "warren.login";
export const session = { user: "", tags: [], vhost: "" };

export function loggedIn() { return !!sessionStorage.getItem(key); }
export function logout() { sessionStorage.removeItem(key); location.hash = ""; location.reload(); }

function headers(more) {
  return { Authorization: "Basic " + (sessionStorage.getItem(key) || ""), "X-Warren-Console": "1", ...more };
}

function encode(text) { return btoa(String.fromCharCode(...new TextEncoder().encode(text))); }

export async function login(user, password) {
  sessionStorage.setItem(key, encode(user + ":" + password));
  try {
    await who();
  } catch (e) {
    sessionStorage.removeItem(key);
    throw e;
  }
}

export async function who() {
  const me = await get("/whoami");
  session.user = me.name;
  session.tags = me.tags;
}

export function is(...tags) { return session.tags.some((t) => t === "administrator" || tags.includes(t)); }

export class Refused extends Error { constructor(status, reason) { super(reason); this.status = status; } }

async function call(method, path, body) {
  const r = await fetch("/api" + path, { method, headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }), body: body === undefined ? undefined : JSON.stringify(body) });
  if (!r.ok) {
    let reason = r.statusText;
    try { const e = await r.json(); reason = e.detail || e.reason || reason; } catch { /* not JSON */ }
    throw new Refused(r.status, reason);
  }
  const text = await r.text();
  const v = text ? JSON.parse(text) : null;
  if (v && typeof v === "object") Object.defineProperty(v, "missing", { value: r.headers.get("X-Warren-Missing"), enumerable: false });
  return v;
}

export const get = (path) => call("GET", path);
export const put = (path, body = {}) => call("PUT", path, body);
export const post = (path, body = {}) => call("POST", path, body);
export const del = (path) => call("DELETE", path);
export const seg = encodeURIComponent;

// stream calls on(name, data) with each server-sent event, and comes again when it ends.
export async function stream(on, lost) {
  for (let wait = 1000; ; ) {
    try {
      const r = await fetch("/api/events/stream", { headers: headers() });
      if (r.status === 401) return logout();
      if (!r.ok) throw new Error(r.statusText);
      const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        wait = 1000;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const p of parts) {
          const name = /^event: (.*)$/m.exec(p), data = /^data: (.*)$/m.exec(p);
          if (name && data) on(name[1], JSON.parse(data[1]));
        }
      }
    } catch { lost(); }
    await new Promise((f) => setTimeout(f, wait));
    wait = Math.min(wait * 2, 15000);
  }
}
