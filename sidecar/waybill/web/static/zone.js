// Times: the server writes them in UTC. With the switch they are those of the browser; the tooltip
// has both. A time that says how long ago it was stays as it is.
"use strict";
(() => {
  const root = document.documentElement;
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const written = (at) => at.toISOString().slice(0, 19).replace("T", " ");
  const utc = (at) => written(at) + " UTC";
  const local = (at) => {
    const minutes = -at.getTimezoneOffset();
    const offset = (minutes < 0 ? "-" : "+") + two(Math.abs(minutes) / 60) + ":" + two(Math.abs(minutes) % 60);
    return written(new Date(at.getTime() + minutes * 60000)) + " " + offset;
  };
  const place = Intl.DateTimeFormat().resolvedOptions().timeZone || "this browser";
  const isLocal = () => root.dataset.zone === "local";
  const shown = (at) => (isLocal() ? local(at) : utc(at));
  const put = (node, name, words) => { if (node[name] !== words) node[name] = words; };
  const fit = (node) => {
    const at = new Date(node.dateTime);
    if (Number.isNaN(at.getTime())) return;
    if (!/ ago$/.test(node.textContent)) put(node, "textContent", shown(at));
    put(node, "title", utc(at) + " · " + local(at) + " (" + place + ")");
  };
  const all = () => document.querySelectorAll("time[datetime]").forEach(fit);
  const TOLD = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/;
  window.waybillZone = {
    isLocal,
    name: () => (isLocal() ? place : "UTC"),
    // A time of a chart: seconds since 1970.
    shown: (secs) => shown(new Date(secs * 1000)),
    // A sentence with one time in UTC, put into a node.
    sentence: (node, words) => {
      const found = TOLD.exec(words);
      if (!found) { node.textContent = words; return; }
      const time = document.createElement("time");
      time.dateTime = found[1] + "T" + found[2] + "Z";
      time.textContent = found[0];
      node.replaceChildren(words.slice(0, found.index), time, words.slice(found.index + found[0].length));
    },
  };
  const name = () => {
    for (const button of document.querySelectorAll("[data-zone-switch]")) {
      put(button, "textContent", isLocal() ? "Local" : "UTC");
      button.setAttribute("aria-pressed", String(isLocal()));
      put(button, "title", (isLocal() ? "Times are those of " + place : "Times are in UTC") + "; press for " + (isLocal() ? "UTC" : "those of " + place));
    }
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-zone-switch]")) return;
    root.dataset.zone = isLocal() ? "utc" : "local";
    window.waybillKeep("waybill_zone", root.dataset.zone);
    name();
    all();
    document.dispatchEvent(new Event("waybill:zone"));
  });
  // Parts of the page are exchanged while it is open. What is written here changes nothing a second time.
  new MutationObserver(all).observe(document.body, { childList: true, subtree: true });
  name();
  all();
})();
