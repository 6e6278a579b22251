// A list that is searched, sorted and paged by the node.
import { h, fill, table, n } from "./dom.js";
import * as api from "./api.js";

export function list({ path, columns, label, size = 50, sort = "", reverse = false, extra = "", empty }) {
  const state = { page: 1, sort, reverse, name: "" };
  const body = h("div"), foot = h("div", { class: "row spread small muted", style: "margin-top:1.3rem" });
  const search = h("input", { type: "search", placeholder: `Search ${label} (key /)`, "aria-label": "Search " + label, oninput: () => { state.name = search.value; state.page = 1; tick(); } });
  let turn = 0;
  const tick = async () => {
    const mine = ++turn;
    const q = new URLSearchParams({ page: state.page, page_size: size });
    if (state.name) q.set("name", state.name);
    if (state.sort) { q.set("sort", state.sort); q.set("sort_reverse", state.reverse); }
    let v;
    try { v = await api.get(`${path}?${q}${extra}`); } catch (x) { if (x.message.startsWith("Page out of range")) { state.page = 1; return tick(); } throw x; }
    if (mine !== turn) return;
    fill(body, v.missing && h("div", { class: "note" }, `${v.missing} did not answer: what only it knows is missing.`),
      table(columns, v.items, { sort: state.sort, reverse: state.reverse, label, empty: state.name ? `No ${label} match.` : empty || `There are no ${label}.`,
        onsort: (s) => { state.reverse = state.sort === s ? !state.reverse : true; state.sort = s; tick(); } }));
    fill(foot, h("span", {}, `${n(v.filtered_count)} of ${n(v.total_count)} ${label}`), v.page_count > 1 && h("span", { class: "row" },
      h("button", { class: "b mini", disabled: state.page <= 1, onclick: () => { state.page--; tick(); } }, "Previous"), `page ${v.page} of ${v.page_count}`,
      h("button", { class: "b mini", disabled: state.page >= v.page_count, onclick: () => { state.page++; tick(); } }, "Next")));
  };
  return { search, element: h("div", {}, body, foot), tick };
}
