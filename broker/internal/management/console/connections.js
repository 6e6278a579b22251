// Connections and channels: who is there, and who is held back.
import { h, fill, figure, badge, card, table, pairs, n, rate, bytes, ago, ask, toast } from "./dom.js";
import { list } from "./list.js";
import * as api from "./api.js";

const { seg } = api;
const r = (x, k) => (x[k + "_details"] || {}).rate || 0;
const sr = (x, k) => r(x.message_stats || {}, k);
const what = { running: "", blocked: "An alarm stops it from publishing.", flow: "It publishes faster than its queues take: its socket is not read for moments." };

function state(c) { return h("span", { title: what[c.state] }, badge(c.state, c.state === "running" ? "good" : "warn")); }

export async function connections(main) {
  const l = list({
    path: "/connections", label: "connections",
    columns: [
      { title: "Client", sort: "name", cell: (c) => h("div", {}, h("a", { class: "name", href: "#/connection/" + seg(c.name) }, c.user_provided_name || c.name), h("div", { class: "small muted" }, c.user_provided_name ? c.name : (c.client_properties || {}).product || "")) },
      { title: "User", sort: "user", cell: (c) => h("div", {}, c.user, h("div", { class: "small muted" }, c.vhost)) }, { title: "Node", sort: "node", cell: (c) => c.node },
      { title: "State", sort: "state", cell: state, why: "Blocked: an alarm stops it from publishing. Flow: it publishes faster than its queues take." },
      { title: "Channels", sort: "channels", num: true, cell: (c) => n(c.channels) },
      { title: "From it /s", sort: "recv_oct_details.rate", num: true, cell: (c) => bytes(r(c, "recv_oct")) }, { title: "To it /s", sort: "send_oct_details.rate", num: true, cell: (c) => bytes(r(c, "send_oct")) },
      { title: "TLS", cell: (c) => c.ssl ? badge(c.ssl_protocol || "yes", "good") : h("span", { class: "muted" }, "no") }, { title: "Since", sort: "connected_at", num: true, cell: (c) => ago(c.connected_at) }],
  });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Connections"), l.search), h("div", { class: "card" }, l.element));
  await l.tick();
  return l.tick;
}

const channelColumns = (own) => [
  !own && { title: "Channel", sort: "name", cell: (c) => h("div", {}, h("a", { class: "name", href: "#/connection/" + seg(c.connection_details.name) }, c.name), h("div", { class: "small muted" }, `${c.user_provided_name ? c.user_provided_name + ", " : ""}${c.user} in ${c.vhost} on ${c.node}`)) },
  own && { title: "Channel", cell: (c) => c.number },
  { title: "State", cell: (c) => [state(c), " ", c.confirm && badge("confirms", "", true), c.transactional && badge("transactions", "", true)] },
  { title: "Unacked", sort: "messages_unacknowledged", num: true, cell: (c) => n(c.messages_unacknowledged), why: "Deliveries that the client has not acknowledged." },
  { title: "Unconfirmed", sort: "messages_unconfirmed", num: true, cell: (c) => n(c.messages_unconfirmed), why: "Publishes that wait for their confirm. If they stay, a queue has no majority." },
  { title: "Prefetch", num: true, cell: (c) => c.global_prefetch_count ? c.global_prefetch_count + " shared" : c.prefetch_count || "∞" }, { title: "Consumers", sort: "consumer_count", num: true, cell: (c) => n(c.consumer_count) },
  { title: "In /s", sort: "message_stats.publish_details.rate", num: true, cell: (c) => rate(sr(c, "publish")) }, { title: "Out /s", sort: "message_stats.deliver_get_details.rate", num: true, cell: (c) => rate(sr(c, "deliver_get")) },
  { title: "Acked /s", num: true, cell: (c) => rate(sr(c, "ack")) }, { title: "Unroutable", num: true, cell: (c) => n(((c.message_stats || {}).return_unroutable || 0) + ((c.message_stats || {}).drop_unroutable || 0)), why: "Messages that went to no queue: returned to the client if it asked for that, else dropped." },
].filter(Boolean);

export async function channels(main) {
  const l = list({ path: "/channels", label: "channels", columns: channelColumns(false) });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Channels"), l.search), h("div", { class: "card" }, l.element));
  await l.tick();
  return l.tick;
}

export async function connection(main, [name]) {
  const head = h("div", { class: "head" }), body = h("div", { class: "grid" });
  fill(main, head, body);
  const path = "/connections/" + seg(name);
  const close = async () => {
    if (!await ask("Close this connection?", "Its client is told; most clients connect again at once. What it holds goes back to the queues.", "Close")) return;
    try { await api.del(path); toast("Closed"); location.hash = "#/connections"; } catch (x) { toast(x.message, true); }
  };
  const tick = async () => {
    const [c, chs] = await Promise.all([api.get(path), api.get(path + "/channels")]);
    fill(head, h("div", {}, h("div", { class: "crumb" }, h("a", { href: "#/connections" }, "Connections"), " in virtual host ", h("b", {}, c.vhost)), h("h1", {}, c.user_provided_name || c.name), h("div", { class: "row", style: "margin-top:.4rem" }, state(c), badge(c.protocol, "", true), c.ssl && badge(c.ssl_protocol, "good"))),
      h("button", { class: "b bad", id: "close", onclick: close }, "Close"));
    fill(body, h("section", { class: "card c12" }, h("div", { class: "figures" }, figure("From the client", bytes(r(c, "recv_oct")), "/s", "Bytes that the node read from it: publishes and acknowledgements.", bytes(c.recv_oct) + " in all"), figure("To the client", bytes(r(c, "send_oct")), "/s", "Bytes that the node sent it: deliveries and confirms.", bytes(c.send_oct) + " in all"),
      figure("Channels", n(c.channels), "", "Conversations that share the connection; below they are one by one."), figure("Heartbeat", c.timeout ? c.timeout + " s" : "none", "", "How often both sides show that they live. After two silent intervals the connection is dropped."), figure("Connected", ago(c.connected_at), "ago", "Since when it has been open. A client that comes again and again has trouble."))),
    card("c12", "Channels", "Conversations that share the connection.", table(channelColumns(true), chs)),
    card("c6", "Client", "", pairs({ Name: h("code", {}, c.name), User: c.user, "Logged in by": c.auth_mechanism, Node: c.node, "Frame max": bytes(c.frame_max), "Channel max": c.channel_max, "Certificate of": c.peer_cert_subject })),
    card("c6", "What it tells of itself", "", h("pre", {}, JSON.stringify(c.client_properties, null, 2))));
  };
  await tick();
  return tick;
}
