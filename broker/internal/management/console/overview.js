// How the cluster is.
import { h, fill, figure, badge, meter, card, n, rate, bytes, ms, ago } from "./dom.js";
import { chart, points, perSecond } from "./charts.js";
import * as api from "./api.js";

const samples = "lengths_age=120&lengths_incr=2&msg_rates_age=120&msg_rates_incr=2";

export default async function overview(main) {
  const alarms = h("div"), top = h("div", { class: "grid" }), charts = h("div", { class: "grid" }), lower = h("div", { class: "grid" });
  const title = h("h1", {}, "Overview"), crumb = h("div", { class: "crumb" });
  fill(main, h("div", { class: "head" }, h("div", {}, crumb, title)), alarms, top, charts, lower);
  const tick = async () => {
    const [o, nodes] = await Promise.all([api.get("/overview?" + samples), api.is("monitoring") ? api.get("/nodes") : []]);
    title.textContent = o.cluster_name;
    crumb.textContent = `Warren ${o.product_version}, asked through ${o.node}`;
    const low = nodes.flatMap((x) => [x.mem_alarm && `${x.name} is low on memory`, x.disk_free_alarm && `${x.name} is low on disk space`].filter(Boolean));
    fill(alarms, low.length > 0 && h("div", { class: "alarm", role: "alert" }, low.join("; "), ". Nobody may publish to any node until there is room again; consumers go on."));
    const s = o.message_stats, q = o.queue_totals, l = o.latencies;
    const r = (k) => (s[k + "_details"] || {}).rate || 0;
    fill(top,
      h("div", { class: "card c3" }, figure("Messages in", rate(r("publish")), "/s", "Messages that publishers sent in the last seconds, to any node.", n(s.publish || 0) + " since the nodes started")),
      h("div", { class: "card c3" }, figure("Messages out", rate(r("deliver_get")), "/s", "Messages that went to consumers in the last seconds, deliveries again included.", n(s.deliver_get || 0) + " since the nodes started")),
      h("div", { class: "card c3" }, figure("Waiting", n(q.messages), "", "All messages in all queues: ready ones, which nobody has taken, and unacknowledged ones, which a consumer holds.", `${n(q.messages_ready)} ready, ${n(q.messages_unacknowledged)} unacknowledged`)),
      h("div", { class: "card c3" }, figure("Confirm latency", ms(l.confirm.p50_ms), "p50", "How long publishers wait for a confirm: until a majority of the queue's members have the message on disk. Rounded up to a power of two, since the nodes started.", `${ms(l.confirm.p95_ms)} p95, ${ms(l.confirm.p99_ms)} p99`)));
    const line = (name, key, color) => ({ name, color, points: perSecond(points(s[key + "_details"])), now: rate(r(key)) + "/s" });
    fill(charts,
      card("c6", "Message rates", "What all nodes together do in a second.", chart([line("published", "publish", "var(--s1)"), line("delivered", "deliver_get", "var(--s2)"), line("acknowledged", "ack", "var(--s3)"), line("confirmed", "confirm", "var(--s4)")], "Message rates of the last two minutes")),
      card("c6", "Messages waiting", "Ready messages wait for a consumer; unacknowledged ones wait for the consumer that holds them.", chart([
        { name: "ready", color: "var(--s1)", points: points(q.messages_ready_details), now: n(q.messages_ready) },
        { name: "unacknowledged", color: "var(--s4)", points: points(q.messages_unacknowledged_details), now: n(q.messages_unacknowledged) }], "Messages waiting in the last two minutes")));
    const groups = nodes.reduce((sum, x) => sum + (x.placement_groups_led || 0), 0);
    fill(lower,
      nodes.length > 0 && card("c12", "Nodes", "Replicated queues live in placement groups. Each group has one leader, which serves its queues; leaderships spread evenly by themselves.",
        h("div", { class: "nodes" }, nodes.map((x) => node(x, groups)))),
      card("c6", "Latencies", "Since the nodes started, rounded up to a power of two.", h("div", { class: "figures" },
        figure("Time in queue", ms(l.time_in_queue.p50_ms), "p50", "From a message's arrival to its first delivery, of messages delivered lately.", ms(l.time_in_queue.p99_ms) + " p99"),
        figure("Replication", ms(l.replication.p50_ms), "p50", "From the proposal of a log entry to its application: a majority has it on disk.", ms(l.replication.p99_ms) + " p99"),
        figure("Log write", ms(l.sync.p50_ms), "p50", "One write to the write-ahead log, with its sync. Confirms can't be faster.", ms(l.sync.p99_ms) + " p99"))),
      card("c6", "Objects", "What there is in the virtual hosts that you may see. Consumers are subscriptions to queues; channels share a connection.", h("div", { class: "figures" },
        ["connections", "channels", "queues", "consumers", "exchanges"].map((k) => h("a", { href: "#/" + (k === "consumers" ? "queues" : k), style: "color:inherit" }, figure(k[0].toUpperCase() + k.slice(1), n(o.object_totals[k])))))));
  };
  await tick();
  return tick;
}

function node(x, groups) {
  const state = !x.running ? badge("down", "bad") : x.being_drained ? badge("maintenance", "warn") : badge("running", "good");
  const body = x.mem_limit === undefined ? [h("div", { class: "muted" }, x.running ? "It does not answer." : "It is not there: its queues have other leaders, if they are replicated.")] : [
    meter("Memory", x.mem_used / x.mem_limit, `${bytes(x.mem_used)} of ${bytes(x.mem_limit)}`, "Resident set. Past the limit nobody may publish to any node."),
    meter("Disk", x.disk_free_limit / Math.max(x.disk_free, 1), `${bytes(x.disk_free)} free`, `Below ${bytes(x.disk_free_limit)} nobody may publish to any node. The bar fills as that comes near.`),
    meter("Leads", groups ? x.placement_groups_led / groups : 0, `${x.placement_groups_led} of ${groups} groups`, "Placement groups that this node leads, of all in the cluster."),
    h("div", { class: "small muted row spread" }, h("span", {}, x.connections === 1 ? "1 connection" : `${n(x.connections)} connections`), h("span", {}, `log ${bytes(x.log_bytes)}`), h("span", {}, `up ${ago(Date.now() - x.uptime)}`))];
  return h("div", { class: "node" }, h("div", { class: "name" }, x.name, state, x.metadata_leader && badge("leads the topology", "", true)), h("div", { class: "small muted mono" }, x.amqp), body);
}
