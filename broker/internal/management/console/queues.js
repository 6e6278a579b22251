// Queues, and one of them.
import { h, fill, figure, badge, card, table, pairs, n, rate, bytes, ask, toast, field, why } from "./dom.js";
import { chart, spark, points, perSecond } from "./charts.js";
import { list } from "./list.js";
import * as api from "./api.js";

const { seg } = api;
const link = (q) => `#/queue/${seg(q.vhost)}/${seg(q.name)}`;
const r = (q, k) => ((q.message_stats || {})[k + "_details"] || {}).rate || 0;

export function stateBadge(s) { return badge(s, s === "running" ? "good" : s === "down" ? "bad" : "warn"); }

export async function queues(main) {
  const l = list({
    path: "/queues", label: "queues", extra: "&lengths_age=120&lengths_incr=4", empty: "There are no queues. Clients declare them; or declare one here.",
    columns: [
      { title: "Name", sort: "name", cell: (q) => h("div", {}, h("a", { class: "name", href: link(q) }, q.name), h("div", { class: "small muted" }, [q.vhost, q.type, q.exclusive && "exclusive", q.auto_delete && "auto-delete", q.policy && "policy " + q.policy].filter(Boolean).join(" · "))) },
      { title: "State", cell: (q) => q.stats_stale ? badge("busy", "warn") : stateBadge(q.state), why: "Busy: its leader did not answer in time, so these are its last known figures. Down: it has no leader now. Moving: it gets its replicas." },
      { title: "Leader", sort: "leader", cell: (q) => h("span", { class: "small" }, q.leader || "–", q.members.length > 1 && h("span", { class: "muted" }, ` +${q.online.length - 1} of ${q.members.length - 1}`)), why: "The node that serves the queue, and how many of its other members are up." },
      { title: "Ready", sort: "messages_ready", num: true, cell: (q) => n(q.messages_ready) },
      { title: "Unacked", sort: "messages_unacknowledged", num: true, cell: (q) => n(q.messages_unacknowledged) },
      { title: "Two minutes", cell: (q) => spark(points(q.messages_details), `${n(q.messages)} messages in ${q.name}`) },
      { title: "In /s", sort: "message_stats.publish_details.rate", num: true, cell: (q) => rate(r(q, "publish")) },
      { title: "Out /s", sort: "message_stats.deliver_get_details.rate", num: true, cell: (q) => rate(r(q, "deliver_get")) },
      { title: "Consumers", sort: "consumers", num: true, cell: (q) => n(q.consumers) },
    ],
  });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Queues"), l.search), h("div", { class: "card" }, l.element), declare(l.tick));
  await l.tick();
  return l.tick;
}

function declare(done) {
  const vhost = h("input", { value: "/", required: true }), name = h("input", { required: true }), args = h("input", { placeholder: '{"x-max-length": 1000}' });
  const type = h("select", {}, h("option", { value: "quorum" }, "quorum: replicated"), h("option", { value: "classic" }, "classic"));
  return card("c12", "Declare a queue", "A quorum queue has copies on several nodes; a classic one has as many as a policy with ha-mode says, else one.", h("form", { class: "form", onsubmit: async (e) => {
    e.preventDefault();
    if (!await ask(`Declare queue ${name.value}?`, `A ${type.value} queue in virtual host ${vhost.value}. One that is there must be equal.`, "Declare")) return;
    try {
      await api.put(`/queues/${seg(vhost.value)}/${seg(name.value)}`, { durable: true, arguments: { ...JSON.parse(args.value || "{}"), "x-queue-type": type.value } });
      toast(`Queue ${name.value} declared`);
      name.value = "";
      done();
    } catch (x) { toast(x.message, true); }
  } }, field("Virtual host", vhost), field("Name", name), field("Type", type), field("More arguments (JSON)", args), h("button", { class: "b main" }, "Declare")));
}

export async function queue(main, [vhost, name]) {
  const path = `/queues/${seg(vhost)}/${seg(name)}`;
  const head = h("div", { class: "head" }), top = h("div", { class: "card" , style: "margin-bottom:1rem" }), charts = h("div", { class: "grid" }), lower = h("div", { class: "grid" }), rest = h("div", { class: "grid" });
  fill(main, head, top, charts, lower, messages(path, name, () => tick()), rest);
  let members = null, round = 0;
  const act = (title, text, verb, f) => async () => {
    if (!await ask(title, text, verb)) return;
    try { await f(); } catch (x) { toast(x.message, true); }
  };
  const tick = async () => {
    const [q, bindings] = await Promise.all([api.get(path + "?lengths_age=120&lengths_incr=2&msg_rates_age=120&msg_rates_incr=2"), api.get(path + "/bindings")]);
    if (q.placement_group && api.is("monitoring") && round++ % 2 === 0) members = await api.get(`/queues/quorum/${seg(vhost)}/${seg(name)}/status`).catch(() => null);
    fill(head, h("div", {}, h("div", { class: "crumb" }, h("a", { href: "#/queues" }, "Queues"), " in virtual host ", h("b", {}, vhost)), h("h1", {}, name),
      h("div", { class: "row", style: "margin-top:.4rem" }, stateBadge(q.state), badge(q.type, "", true), q.durable && badge("durable", "", true), q.policy && badge("policy " + q.policy, "", true), q.operator_policy && badge("operator policy " + q.operator_policy, "", true))),
    h("div", { class: "row" },
      h("button", { class: "b bad", id: "purge", onclick: act(`Purge ${name}?`, `Its ${n(q.messages_ready)} ready messages are removed for good.`, "Purge", async () => { await api.del(path + "/contents"); toast("Purged"); tick(); }) }, "Purge"),
      h("button", { class: "b bad", id: "delete", onclick: act(`Delete ${name}?`, `The queue goes with its ${n(q.messages)} messages, and its consumers are cancelled.`, "Delete", async () => { await api.del(path); toast("Deleted"); location.hash = "#/queues"; }) }, "Delete")));
    const gone = q.removed || {};
    fill(top, h("div", { class: "figures" },
      figure("Ready", n(q.messages_ready), "", "Messages that wait for a consumer."), figure("Unacknowledged", n(q.messages_unacknowledged), "", "Messages that consumers hold and have not acknowledged. If this only grows, look at the consumers."),
      figure("Bytes", bytes(q.message_bytes), "", "The bodies of all messages. On disk, not in memory, if they are not taken at once."), figure("Consumers", n(q.consumers), "", "Subscriptions that take messages."),
      figure("Capacity", q.consumers ? Math.round(q.consumer_capacity * 100) + "%" : "–", "", "Share of the consumers that would take a message at once. Below 100% they are the brake: more consumers, or a larger prefetch, may help."),
      figure("Redelivered", rate(r(q, "redeliver")), "/s", "Deliveries that are not a message's first: it came back."),
      figure("Dead", n((gone.rejected || 0) + (gone.expired || 0) + (gone.maxlen || 0) + (gone.delivery_limit || 0)), "", "Messages that ended without an acknowledgement since the leader leads; they go to the dead-letter exchange if there is one.", [gone.rejected && `${n(gone.rejected)} rejected`, gone.expired && `${n(gone.expired)} expired`, gone.maxlen && `${n(gone.maxlen)} over the limit`, gone.delivery_limit && `${n(gone.delivery_limit)} failed too often`].filter(Boolean).join(", ") || "none")));
    const s = q.message_stats || {};
    const line = (title, key, color) => ({ name: title, color, points: perSecond(points(s[key + "_details"])), now: rate(r(q, key)) + "/s" });
    fill(charts, card("c6", "Messages", "How the queue's length went.", chart([{ name: "ready", color: "var(--s1)", points: points(q.messages_ready_details), now: n(q.messages_ready) }, { name: "unacknowledged", color: "var(--s4)", points: points(q.messages_unacknowledged_details), now: n(q.messages_unacknowledged) }], "Length of the queue")),
      card("c6", "Rates", "What comes and goes in a second.", chart([line("published", "publish", "var(--s1)"), line("delivered", "deliver_get", "var(--s2)"), line("acknowledged", "ack", "var(--s3)")], "Rates of the queue")));
    fill(lower, membersCard(q, members), card("c6", "Consumers", "Who takes this queue's messages.", table([
      { title: "Tag", cell: (c) => h("span", { class: "mono wrap" }, c.consumer_tag) },
      { title: "Channel", cell: (c) => h("a", { class: "small", href: "#/connection/" + seg(c.channel_details.connection_name) }, c.channel_details.name) },
      { title: "Holds", num: true, cell: (c) => n(c.messages_unacknowledged), why: "Deliveries that it has not acknowledged." }, { title: "Prefetch", num: true, cell: (c) => c.prefetch_count || "∞" },
      { title: "", cell: (c) => [c.active ? "" : badge("waits", "warn"), c.exclusive && badge("exclusive", "", true), !c.ack_required && badge("no ack", "", true)] }], q.consumer_details, { empty: "Nobody consumes." })));
    fill(rest, card("c6", "Bindings", "What leads here: messages that an exchange gets with a key that fits.", table([
      { title: "From", cell: (b) => b.source ? h("a", { href: `#/exchange/${seg(vhost)}/${seg(b.source)}` }, b.source) : h("span", { class: "muted" }, "default exchange") },
      { title: "Routing key", cell: (b) => h("code", {}, b.routing_key || "–") }, { title: "Arguments", cell: (b) => Object.keys(b.arguments).length ? h("code", {}, JSON.stringify(b.arguments)) : "" }], bindings)),
    card("c6", "Settings", "Arguments come from who declared the queue; the definition from policies, where the lower limit counts.", pairs({
      Arguments: Object.keys(q.arguments).length ? h("code", {}, JSON.stringify(q.arguments)) : "none", "From policies": Object.keys(q.effective_policy_definition).length ? h("code", {}, JSON.stringify(q.effective_policy_definition)) : "none",
      Leader: q.leader, Members: q.members.join(", "), "Auto-delete": q.auto_delete ? "yes" : "no", "Exclusive to": q.owner_pid_details && q.owner_pid_details.name })));
  };
  await tick();
  return tick;
}

function membersCard(q, m) {
  if (!q.placement_group) {
    return card("c6", "Members", "Nodes that hold the messages.", h("p", {}, `Only ${q.leader || q.members[0]} holds this queue. `, h("span", { class: "muted" }, "If that node is lost, so are its messages. A policy with ha-mode gives it copies on other nodes while it is in use.")));
  }
  if (!m) return card("c6", "Members", "Nodes that hold the messages.", h("p", {}, q.members.join(", ")));
  return card("c6", "Members", "Each member has a copy of the log. A message is confirmed when a majority has it on disk.", h("p", { class: "small muted", style: "margin-top:0" }, `Placement group ${m.placement_group}, term ${m.term}. The log ends at ${n(m.last_index)}, committed up to ${n(m.commit_index)}.`), table([
    { title: "Node", cell: (x) => h("span", { class: "name" }, x.node) }, { title: "Role", cell: (x) => badge(x.role, x.role === "leader" ? "good" : "", true) }, { title: "State", cell: (x) => badge(x.state, x.state === "running" ? "good" : x.state === "down" ? "bad" : "warn") },
    { title: "Synced to", num: true, cell: (x) => n(x.synced_index), why: "Index in the log up to which it is on this member's disk." }, { title: "Behind", num: true, cell: (x) => n(x.entries_behind), why: "Entries that it lacks." }], m.members));
}

function messages(path, name, changed) {
  const count = h("input", { type: "number", min: "0", max: "500", value: "10" }), from = h("input", { type: "number", min: "1", max: "1000001", value: "1" }), filter = h("input", { placeholder: "text to look for" }), to = h("input", { placeholder: "another queue" }), out = h("div");
  const fetch = async () => {
    try {
      const list = await api.post(path + "/get", { count: +count.value, offset: from.value - 1, ackmode: "peek", encoding: "auto", truncate: 20000 });
      const fit = list.filter((m) => !filter.value || JSON.stringify([m.payload, m.routing_key, m.properties]).includes(filter.value));
      out.replaceChildren();
      fill(out, h("p", { class: "muted small" }, list.length ? `${fit.length} of ${list.length} messages, from position ${n(list[0].position)} on. Nothing has happened to them.` : "No message is ready from there on."), fit.map(message),
        list.length === +count.value && h("button", { class: "b", style: "margin-top:.8rem", onclick: () => { from.value = +from.value + list.length; fetch(); } }, "The next ones"));
    } catch (x) { toast(x.message, true); }
  };
  const move = async () => {
    if (!to.value || !await ask(`Move messages to ${to.value}?`, `${+count.value ? `The first ${n(count.value)} messages` : "All messages that are ready now"} leave ${name}, ${filter.value ? "whether they match the filter or not; " : ""}each when its new place has it.`, "Move")) return;
    try { const v = await api.post(path + "/move", { queue: to.value, count: +count.value }); toast(`${v.moved} messages moved`); changed(); } catch (x) { toast(x.message, true); }
  };
  return h("section", { class: "card", style: "margin-bottom:1rem" }, h("h2", {}, "Messages", why("Look at messages in the order in which they will go out: that changes nothing, they count as neither delivered nor redelivered. The filter looks in payload, routing key and properties. Or move them to another queue, for example from a dead-letter queue back to where they came from: as many as you say from the first on, or all with 0.")),
    h("div", { class: "form" }, field("From position", from), field("How many", count), field("Filter", filter), h("button", { class: "b main", id: "peek", onclick: fetch }, "Peek"), field("Move to", to), h("button", { class: "b", onclick: move }, "Move")), out);
}

function message(m) {
  const deaths = ((m.properties.headers || {})["x-death"] || []).map((d) => `${d.reason} in ${d.queue}, ${d.count === 1 ? "once" : n(d.count) + " times"}`);
  return h("details", { class: "card", style: "margin-top:.7rem;box-shadow:none" }, h("summary", {}, h("span", { class: "muted small" }, n(m.position) + "  "), h("code", {}, m.routing_key || "(no key)"), h("span", { class: "muted small" }, ` · ${bytes(m.payload_bytes)} · ${m.exchange || "default exchange"} `), m.redelivered && badge("redelivered", "warn"), deaths.length > 0 && badge(deaths[0], "bad")),
    pairs({ Properties: h("pre", {}, JSON.stringify(m.properties, null, 2)), Deaths: deaths.join("; "), Encoding: m.payload_encoding }), h("pre", {}, m.payload || "(empty)"));
}
