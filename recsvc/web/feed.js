import { event, leave, saw, tell } from "./track.js";

// Everything that comes from the service is put in with textContent: an id or a title is never markup.
const at = (id) => document.getElementById(id);
const NOTICES = {
  cache: "The cache is away; this was computed just now.",
  trending: "Nothing is known to be trending; popular items stand in.",
  latest: "Publication dates are not known; popular items stand in.",
  filters: "The filters leave fewer items than asked for.",
  end_of_list: "This is the end of the list.",
  fold_in: "The history could not be used in full.",
  new_user: "Nothing is known of this user yet.",
  history: "More happened lately than is kept; the rest counts at the next training.",
  experiment: "The model of this user's variant cannot be had; the usual one answered.",
};
const ACTIONS = [
  { label: "Watch", told: "Watched", done: "watched", type: "view", more: { value: 1 } },
  { label: "Like", told: "Liked", done: "liked", type: "like" },
  { label: "Not interested", told: "Noted", done: "are not interested in", type: "not_interested" },
];
let current = { user: "", cursor: null, turn: 0 };
const places = new WeakMap(); // card → { item, list }
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) saw(current.user, places.get(entry.target));
}, { threshold: 0.5 });

const key = () => at("key").value.trim();

async function call(path) {
  const response = await fetch(path, key() ? { headers: { Authorization: `Bearer ${key()}` } } : {});
  const body = await response.json();
  if (response.status === 401 || response.status === 403) at("key-box").open = true;
  if (!response.ok) throw new Error(body.detail || response.statusText);
  return body;
}

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function because(item) {
  const reason = item.reason;
  if (reason.type === "because_of") {
    const named = reason.items.map((id, place) => (reason.titles && reason.titles[place]) || id);
    return named.length ? `Because of ${named.map((name) => `“${name}”`).join(" and ")}` : "Picked for you";
  }
  const what = { trending: "Trending", popular: "Popular", latest: "New" }[reason.type];
  return reason.category ? `${what} in ${reason.category}` : what;
}

function actions(item, place) {
  const row = element("div", "actions");
  for (const action of ACTIONS) {
    const button = element("button", "", action.label);
    button.type = "button";
    button.addEventListener("click", () => act(action, item, place, row, button));
    row.append(button);
  }
  return row;
}

async function act(action, item, place, row, button) {
  for (const each of row.children) each.disabled = true;
  try {
    await tell(event(action.type, current.user, place, action.more), key());
    button.textContent = action.told;
    const before = ids();
    if (await load(true)) at("effect").textContent = `You ${action.done} “${item.title || item.id}”. ${changes(before, item.id)}`;
  } catch (error) {
    at("effect").textContent = `Not accepted: ${error.message}`;
    for (const each of row.children) each.disabled = false;
  }
}

const ids = () => Array.from(at("feed").children, (node) => places.get(node).item);

function changes(before, item) {
  const after = ids();
  const fresh = after.filter((id) => !before.includes(id)).length;
  const because = Array.from(at("feed").children).filter((node) => (places.get(node).because || []).includes(item)).length;
  const moved = after.filter((id, place) => before[place] !== id).length;
  const named = because ? `, ${because} with it among the reasons` : "";
  if (fresh) return `Of ${after.length} items ${fresh} are new${named}.`;
  return moved ? `The same items in another order${named}.` : "The list stays as it is.";
}

function card(item, list) {
  const node = element("li", "card");
  const place = { item: item.id, list, because: item.reason.items };
  places.set(node, place);
  watcher.observe(node);
  node.append(element("h2", "", item.title || item.id));
  node.append(element("p", "", [item.creator, item.published_at && item.published_at.slice(0, 10)].filter(Boolean).join(" · ")));
  const tags = element("div", "tags");
  for (const category of item.categories || []) tags.append(element("span", "tag", category));
  node.append(tags, element("p", "why", because(item)), actions(item, place));
  return node;
}

async function load(first) {
  const turn = first ? ++current.turn : current.turn;
  const query = new URLSearchParams({ limit: "24", fields: "title,categories,creator,published_at" });
  if (!first && current.cursor) query.set("cursor", current.cursor);
  at("more").disabled = true;
  try {
    const answer = await call(`/v1/users/${encodeURIComponent(current.user)}/recommendations?${query}`);
    if (turn !== current.turn) return false;
    if (first) { watcher.disconnect(); at("feed").replaceChildren(); }
    at("feed").append(...answer.items.map((item) => card(item, answer.recommendation_id)));
    current.cursor = answer.next_cursor;
    at("more").hidden = !answer.next_cursor;
    at("status").textContent = `${at("feed").children.length} items for ${answer.user_id} · model ${answer.model_version}`;
    at("notice").textContent = answer.degraded.map((part) => NOTICES[part] || part).join(" ");
    at("notice").hidden = answer.degraded.length === 0;
    return true;
  } catch (error) {
    if (turn === current.turn) at("status").textContent = `No answer: ${error.message}`;
    return false;
  } finally {
    at("more").disabled = false;
  }
}

function show(user) {
  if (!user) return;
  current = { user, cursor: null, turn: current.turn };
  at("user").value = user;
  at("effect").textContent = "";
  for (const chip of at("examples").children) chip.setAttribute("aria-pressed", String(chip.textContent === user));
  load(true);
}

async function start() {
  try {
    const models = await call("/v1/models");
    at("examples").replaceChildren();
    for (const user of [...models.example_users, "somebody-new"]) {
      const chip = element("button", "", user);
      chip.type = "button";
      chip.addEventListener("click", () => show(user));
      at("examples").append(chip);
    }
    show(models.example_users[0] || "somebody-new");
  } catch (error) {
    at("status").textContent = `No answer: ${error.message}`;
  }
}

at("who").addEventListener("submit", (event) => { event.preventDefault(); show(at("user").value.trim()); });
at("more").addEventListener("click", () => load(false));
at("key").addEventListener("change", start);
// Also fired where a phone puts the page aside for good, which `unload` is not.
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") leave(key()); });
start();
