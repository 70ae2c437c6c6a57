// What the visitor does, told to /v1/events: at once when a button is pressed, by a beacon when the page is left.

const MOST = 100; // events of one call; browsers let a beacon carry 64 KB
let shown = [];
let counted = new Set();

function identifier() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function event(type, user, place, more) {
  return {
    event_id: identifier(), type, user_id: user, item_id: place.item,
    recommendation_id: place.list, timestamp: new Date().toISOString(), ...more,
  };
}

// That a card was seen is worth a beacon, not a request of its own.
export function saw(user, place) {
  const once = `${place.list} ${place.item}`;
  if (counted.has(once)) return;
  counted.add(once);
  shown.push(event("impression", user, place));
}

export async function tell(one, key) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch("/v1/events", { method: "POST", headers, body: JSON.stringify({ events: [one] }) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || response.statusText);
  const [result] = body.results;
  if (result.status === "rejected") throw new Error(result.problem.detail);
}

export function leave(key) {
  while (shown.length) {
    const body = { events: shown.slice(0, MOST) };
    if (key) body.key = key;
    if (!navigator.sendBeacon("/v1/events", JSON.stringify(body))) return; // kept for the next time
    shown = shown.slice(MOST);
  }
}
