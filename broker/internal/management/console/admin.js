// Policies, virtual hosts, users, events, audit log, definitions.
import { h, fill, badge, card, table, n, rate, ask, toast, field, clock, when, pairs } from "./dom.js";
import { list } from "./list.js";
import * as api from "./api.js";

const { seg } = api;

// form builds a form that does something once it was asked, and says how it went.
function form(title, explain, fields, verb, act, question) {
  return card("c12", title, explain, h("form", { class: "form", onsubmit: async (e) => {
    e.preventDefault();
    if (!await ask(...question(), verb)) return;
    try { await act(); toast("Done"); } catch (x) { toast(x.message, true); }
  } }, fields, h("button", { class: "b main" }, verb)));
}

function remover(title, text, path, done) {
  return async () => {
    if (!await ask(title, text, "Delete")) return;
    try { await api.del(path); toast("Deleted"); done(); } catch (x) { toast(x.message, true); }
  };
}

const code = (v) => h("code", { class: "wrap" }, JSON.stringify(v));

export async function policies(main) {
  const body = h("div", { class: "grid" });
  const name = h("input", { required: true }), vhost = h("input", { value: "/", required: true }), pattern = h("input", { placeholder: "^orders" }), definition = h("input", { placeholder: '{"ha-mode":"all"}', required: true }), priority = h("input", { type: "number", value: "0" });
  const apply = h("select", {}, ["queues", "exchanges", "all", "classic_queues", "quorum_queues"].map((x) => h("option", {}, x)));
  fill(main, h("div", { class: "head" }, h("h1", {}, "Policies")), body, api.is("policymaker") && form("Set a policy", "It applies at once to all that match: of several, the one with the highest priority. ha-mode replicates queues while they are in use.",
    [field("Name", name), field("Virtual host", vhost), field("Pattern", pattern), field("Applies to", apply), field("Definition (JSON)", definition), field("Priority", priority)], "Set",
    async () => { await api.put(`/policies/${seg(vhost.value)}/${seg(name.value)}`, { pattern: pattern.value, definition: JSON.parse(definition.value), priority: +priority.value, "apply-to": apply.value }); await tick(); },
    () => [`Set policy ${name.value}?`, `It applies at once to all ${apply.value} of virtual host ${vhost.value} whose name matches ${pattern.value || "(everything)"}.`]));
  let qs = [], turn = 0;
  const tick = async (all = true) => {
    const [mine, operators] = await Promise.all([api.get("/policies"), api.get("/operator-policies")]);
    if (all) qs = await api.get("/queues?columns=name,vhost,policy,operator_policy");
    const of = (kind, p) => qs.filter((q) => q.vhost === p.vhost && q[kind] === p.name);
    const columns = (kind, path) => [
      { title: "Name", cell: (p) => h("div", {}, h("span", { class: "name" }, p.name), h("div", { class: "small muted" }, p.vhost)) }, { title: "Pattern", cell: (p) => h("code", {}, p.pattern || "(all)") }, { title: "Applies to", cell: (p) => p["apply-to"] },
      { title: "Definition", cell: (p) => code(p.definition) }, { title: "Priority", num: true, cell: (p) => p.priority },
      { title: "Matches", cell: (p) => { const m = of(kind, p); return h("div", {}, n(m.length), h("div", { class: "small" }, m.slice(0, 4).map((q) => [h("a", { href: `#/queue/${seg(q.vhost)}/${seg(q.name)}` }, q.name), " "]), m.length > 4 && "…")); }, why: "Queues that it applies to now; it may match others, to which one of higher priority applies." },
      { title: "", num: true, cell: (p) => api.is("policymaker") && h("button", { class: "b mini bad", onclick: remover(`Delete policy ${p.name}?`, `It no longer applies to ${n(of(kind, p).length)} queues. Queues that it replicates stay replicated.`, `${path}/${seg(p.vhost)}/${seg(p.name)}`, tick) }, "Delete") }];
    fill(body, card("c12", "Policies", "What users' queues and exchanges get beside their own arguments.", table(columns("policy", "/policies"), mine, { empty: "There are no policies." })),
      card("c12", "Operator policies", "The operator's own, beside the users': the lower limit counts.", table(columns("operator_policy", "/operator-policies"), operators, { empty: "There are no operator policies." })));
  };
  await tick();
  return () => tick(++turn % 5 === 0); // there may be ten thousand queues
}

export async function vhosts(main) {
  const body = h("div", { class: "grid" });
  const name = h("input", { required: true }), about = h("input"), type = h("select", {}, ["classic", "quorum"].map((x) => h("option", {}, x)));
  fill(main, h("div", { class: "head" }, h("h1", {}, "Virtual hosts")), body, api.is() && form("Add a virtual host", "Queues, exchanges and permissions of one know nothing of another's.", [field("Name", name), field("What for", about), field("Type of queues that name none", type)], "Add",
    async () => { await api.put("/vhosts/" + seg(name.value), { description: about.value, default_queue_type: type.value }); name.value = ""; await tick(); },
    () => [`Add virtual host ${name.value}?`, `Queues that name no type are ${type.value} there. Nobody may use it until there are permissions.`]));
  const tick = async () => {
    const [all, limits] = await Promise.all([api.get("/vhosts"), api.get("/vhost-limits")]);
    const trace = (v) => async () => {
      if (!v.tracing && !await ask(`Start the firehose of ${v.name}?`, "All that is published and delivered is copied until you stop it, which slows the virtual host down.", "Start")) return;
      try { await api.put("/vhosts/" + seg(v.name), { tracing: !v.tracing }); tick(); } catch (x) { toast(x.message, true); } };
    fill(body, card("c12", "", "", table([
      { title: "Name", cell: (v) => h("div", {}, h("span", { class: "name" }, v.name), h("div", { class: "small muted" }, v.description)) }, { title: "Messages", num: true, cell: (v) => n(v.messages) }, { title: "Default type", cell: (v) => v.default_queue_type || "classic" },
      { title: "Limits", cell: (v) => { const l = limits.find((x) => x.vhost === v.name); return l ? code(l.value) : h("span", { class: "muted" }, "none"); } },
      { title: "Firehose", cell: (v) => api.is() ? h("button", { class: "b mini", "aria-pressed": String(v.tracing), onclick: trace(v) }, v.tracing ? "on" : "off") : v.tracing ? "on" : "off", why: "While it is on, all that is published and delivered is copied to exchange amq.rabbitmq.trace. It slows the virtual host down." },
      { title: "", num: true, cell: (v) => api.is() && h("button", { class: "b mini bad", onclick: remover(`Delete virtual host ${v.name}?`, `All its queues go, with their ${n(v.messages)} messages, and its clients are disconnected.`, "/vhosts/" + seg(v.name), tick) }, "Delete") }], all)));
  };
  await tick();
  return tick;
}

// permission shows what a user may in one virtual host; long patterns on demand.
function permission(x) {
  const all = [x.configure, x.write, x.read];
  if (all.join("").length <= 60) return h("div", { class: "small" }, h("b", {}, x.vhost), h("code", { class: "muted" }, "  " + all.map((p) => p || "–").join("  ")));
  return h("details", { class: "small" }, h("summary", {}, h("b", {}, x.vhost), h("span", { class: "muted" }, "  long patterns")), pairs({ Configure: h("code", {}, x.configure || "–"), Write: h("code", {}, x.write || "–"), Read: h("code", {}, x.read || "–") }));
}

export async function users(main) {
  const body = h("div", { class: "grid" });
  const name = h("input", { required: true, autocomplete: "off" }), password = h("input", { type: "password", autocomplete: "new-password", required: true }), tags = h("input", { placeholder: "monitoring, policymaker" });
  const who = h("input", { required: true }), vhost = h("input", { value: "/" }), conf = h("input", { value: ".*" }), write = h("input", { value: ".*" }), read = h("input", { value: ".*" });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Users")), body, h("div", { class: "grid" },
    form("Add a user, or change password and tags", "Tags let a user in here: management sees its own, policymaker also sets policies, monitoring sees all, administrator may do everything.", [field("Name", name), field("Password", password), field("Tags", tags)], "Save",
      async () => { await api.put("/users/" + seg(name.value), { password: password.value, tags: tags.value }); password.value = ""; await tick(); },
      () => [`Save user ${name.value}?`, `Tags: ${tags.value || "none"}. Password and tags of a user who is there are replaced${password.value ? "" : "; without a password, only a certificate lets the user in"}.`]),
    form("Set permissions", "Regular expressions of the names that the user may declare and delete, write to, and read from.", [field("User", who), field("Virtual host", vhost), field("Configure", conf), field("Write", write), field("Read", read)], "Set",
      async () => { await api.put(`/permissions/${seg(vhost.value)}/${seg(who.value)}`, { configure: conf.value, write: write.value, read: read.value }); await tick(); },
      () => [`Set permissions of ${who.value}?`, `In virtual host ${vhost.value}: configure ${conf.value || "nothing"}, write ${write.value || "nothing"}, read ${read.value || "nothing"}. They hold for open connections, too.`])));
  const tick = async () => {
    const [all, perms] = await Promise.all([api.get("/users"), api.get("/permissions")]);
    fill(body, card("c12", "", "", table([
      { title: "Name", cell: (u) => h("span", { class: "name" }, u.name) }, { title: "Tags", cell: (u) => u.tags.length ? u.tags.map((t) => badge(t, t === "administrator" ? "warn" : "", true)) : h("span", { class: "muted" }, "none") },
      { title: "May use", cell: (u) => { const p = perms.filter((x) => x.user === u.name); return p.length ? p.map(permission) : h("span", { class: "muted" }, "no virtual host"); }, why: "Virtual hosts, with the patterns for configure, write and read." },
      { title: "Limits", cell: (u) => Object.keys(u.limits).length ? code(u.limits) : "" }, { title: "Password", cell: (u) => u.password_hash ? "set" : badge("none", "warn") },
      { title: "", num: true, cell: (u) => u.name !== api.session.user && h("button", { class: "b mini bad", onclick: remover(`Delete user ${u.name}?`, "The user's connections are closed.", "/users/" + seg(u.name), tick) }, "Delete") }], all)));
  };
  await tick();
  return tick;
}

export async function events(main, _, live) {
  const feed = h("div", { class: "feed", role: "log", "aria-live": "off" }), alarms = h("div");
  const filter = h("input", { type: "search", placeholder: "Search events (key /)", "aria-label": "Search events", oninput: () => draw() });
  live.events = (await api.get("/events?page=1&page_size=300")).items;
  const tone = (k) => /deleted|failure|alarm.set|removed|down/.test(k) ? "bad" : /draining|closed|cleared/.test(k) ? "warn" : "good";
  const text = (e) => Object.entries(e.details).filter(([, v]) => v !== "" && v !== null && typeof v !== "object").map(([k, v]) => `${k} ${v}`).join(", ");
  const draw = () => {
    const fit = live.events.filter((e) => !filter.value || (e.key + " " + text(e)).toLowerCase().includes(filter.value.toLowerCase()));
    fill(feed, fit.length ? fit.slice(0, 300).map((e) => h("div", { class: "e" }, h("time", { class: "muted mono small", title: new Date(e.timestamp).toISOString() }, when(e.timestamp)), h("span", {}, badge(e.key, tone(e.key))), h("span", { class: "wrap small" }, text(e), h("span", { class: "muted" }, " · " + e.node)))) : h("div", { class: "empty" }, "Nothing has happened lately."));
  };
  const tick = async () => {
    const c = await api.get("/nodes?columns=name,mem_alarm,disk_free_alarm,running");
    const on = c.flatMap((x) => [!x.running && `${x.name} is down`, x.mem_alarm && `${x.name} is low on memory`, x.disk_free_alarm && `${x.name} is low on disk space`].filter(Boolean));
    fill(alarms, on.length ? h("div", { class: "alarm", role: "alert" }, on.join("; ")) : h("p", { class: "row" }, badge("no alarms", "good"), h("span", { class: "muted" }, "All nodes have memory and disk space.")));
    draw();
  };
  fill(main, h("div", { class: "head" }, h("h1", {}, "Events"), filter), alarms, card("c12", "Lately", "What happened to connections, queues, users and nodes. The same is published to exchange amq.rabbitmq.event. Each node keeps its latest 500.", feed));
  await tick();
  return tick;
}

export async function audit(main) {
  const l = list({
    path: "/audit", label: "changes", empty: "Nothing was changed yet.",
    columns: [
      { title: "When", cell: (c) => h("time", { class: "mono small", datetime: new Date(c.timestamp).toISOString(), title: new Date(c.timestamp).toISOString() }, new Date(c.timestamp).toLocaleDateString("en-CA"), " ", clock(c.timestamp)) },
      { title: "Who", cell: (c) => h("span", { class: "name" }, c.user) },
      { title: "What", cell: (c) => [h("code", { class: "wrap" }, c.method, " ", pathText(c.path)), c.error && h("div", { class: "small wrap muted" }, reason(c.error))], why: "The request. PUT makes or changes something, DELETE removes it, POST does what the path's end says." },
      { title: "Outcome", cell: (c) => c.status < 400 ? badge("done", "good") : badge("refused", "bad") },
      { title: "From", cell: (c) => [h("span", { class: "mono small" }, c.from), h("div", { class: "small muted wrap" }, c.with)], why: "The address that asked, or that of the proxy before it, and what the client calls itself." },
      { title: "Asked", cell: (c) => h("span", { class: "small" }, c.node), why: "The node that was asked, which keeps this line." },
    ],
  });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Audit log"), l.search), h("p", { class: "muted" }, "Who changed something over the management API, or was refused: here, with brokerctl or with another tool. What clients declare is among the events."), h("div", { class: "card" }, l.element));
  await l.tick();
  return l.tick;
}

// pathText reads a path for people; a slash in a name stays %2F.
function pathText(path) {
  const read = (s) => { try { return decodeURIComponent(s).replaceAll("/", "%2F"); } catch { return s; } };
  return path.split("/").map(read).join("/").replace(/^\/api/, "");
}

function reason(text) { try { const e = JSON.parse(text); return e.detail || e.reason || text; } catch { return text; } }

export async function definitions(main) {
  const file = h("input", { type: "file", "aria-label": "File with definitions", accept: ".json,application/json" }), out = h("div", { style: "margin-top:.8rem" });
  const save = async () => {
    const d = await api.get("/definitions");
    const a = h("a", { href: URL.createObjectURL(new Blob([JSON.stringify(d, null, 2)], { type: "application/json" })), download: `warren-${new Date().toISOString().slice(0, 10)}.json` });
    a.click();
    URL.revokeObjectURL(a.href);
  };
  const load = async () => {
    if (!file.files[0] || !await ask("Import these definitions?", "What is there stays; what the file has besides is added, and users, policies and limits of the same name are replaced.", "Import")) return;
    try {
      await api.post("/definitions", JSON.parse(await file.files[0].text()));
      fill(out, badge("Imported", "good"));
    } catch (x) { fill(out, h("div", { class: "alarm" }, x.message.split("; ").map((l) => h("div", {}, l)))); }
  };
  const d = await api.get("/definitions");
  fill(main, h("div", { class: "head" }, h("h1", {}, "Definitions")), h("div", { class: "grid" },
    card("c6", "Export", "Everything that was set up, without messages: as RabbitMQ's own exports. Passwords are in it as hashes.", table([{ title: "What", cell: (k) => k }, { title: "How many", num: true, cell: (k) => n((d[k] || []).length) }], ["vhosts", "users", "permissions", "policies", "exchanges", "queues", "bindings", "parameters"]), h("button", { class: "b main", style: "margin-top:1.4rem", onclick: save }, "Download")),
    card("c6", "Import", "Exports of this broker or of RabbitMQ. Entries that can't be taken are named, and the others go on.", h("div", { class: "row" }, file, h("button", { class: "b", onclick: load }, "Import")), out)));
  return null;
}
