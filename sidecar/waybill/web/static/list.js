// The list of patterns: ticks and what is done with all of them, keys of a row, what is new meanwhile.
"use strict";
(() => {
  const form = () => document.getElementById("bulk");
  const bar = () => document.querySelector("[data-bulk]");
  const boxes = () => [...document.querySelectorAll("input[name=id][type=checkbox]")];
  const ticked = () => boxes().filter((box) => box.checked);
  let last = null;
  const renew = (open) => {
    const all = form().elements.all.value === "1";
    const number = all ? Number(form().elements.expected.value) : ticked().length;
    for (const place of document.querySelectorAll("[data-ticked]")) place.textContent = number.toLocaleString("en");
    bar().hidden = !number && !open;
  };
  const clear = () => {
    form().elements.all.value = "";
    boxes().forEach((box) => { box.checked = false; });
    const send = bar().querySelector("[data-send]");
    send.disabled = true;
    bar().querySelectorAll("[data-choose]").forEach((one) => one.setAttribute("aria-pressed", "false"));
    renew();
  };
  const row = () => document.querySelector("tr[data-row][aria-selected=true]");
  const tick = (one, on) => { one.querySelector("input[name=id]").checked = on; };
  const range = (to) => {
    const rows = [...document.querySelectorAll("tr[data-row]")];
    const from = last ? rows.indexOf(last) : rows.indexOf(to);
    const [low, high] = [from, rows.indexOf(to)].sort((a, b) => a - b);
    rows.slice(Math.max(0, low), high + 1).forEach((one) => tick(one, true));
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tick-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    else if (!event.target.matches("input[name=id]")) return;
    form().elements.all.value = "";
    last = event.target.closest("tr");
    renew();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-all]")) { form().elements.all.value = "1"; renew(); }
    if (event.target.closest("[data-close]")) clear();
    const box = event.target.closest("input[name=id]");
    if (box && event.shiftKey) { range(box.closest("tr")); renew(); }
  });
  document.addEventListener("keydown", (event) => {
    const preview = document.querySelector("[data-preview-close]");
    if (event.key === "Escape" && preview && bar()?.hidden) { location.href = preview.href; return; }
    if (event.key === "Escape" && bar() && !bar().hidden) { clear(); row()?.querySelector("td a")?.focus(); }
  });
  // What a key does with the row that is chosen; app.js asks when no button has the key.
  window.waybillRow = (event) => {
    const one = row();
    if (event.key === "*") { boxes().forEach((box) => { box.checked = true; }); renew(); return true; }
    if (!one) return false;
    if (event.key === "x") { tick(one, !one.querySelector("input[name=id]").checked); last = one; renew(); return true; }
    if (event.key === "X") { range(one); last = one; renew(); return true; }
    if (event.key === "v") { location.href = one.querySelector("[data-preview]").href; return true; }
    if (event.key === "r") { location.href = form().dataset.rule.replace("0000000000000000", one.dataset.id); return true; }
    if (event.key === "y") {
      const right = document.getElementById("row-right");
      right.elements.id.value = one.dataset.id;
      right.requestSubmit();
      return true;
    }
    if (event.key === "w" || event.key === "0") {
      if (!ticked().length && form().elements.all.value !== "1") tick(one, true);
      renew(true);
      const choice = event.key === "0" && bar().querySelector('[data-key="0"]');
      if (choice) { choice.click(); form().requestSubmit(bar().querySelector("[data-send]")); }
      return true;
    }
    return false;
  };
  // Rows never move by themselves: numbers are renewed in their place, the rest waits behind a bar.
  const look = async () => {
    const link = document.querySelector("[data-live]");
    if (!link || link.dataset.frozen || document.visibilityState === "hidden") return;
    const reply = await fetch(link.dataset.live, { headers: { Accept: "application/json" } }).catch(() => null);
    window.waybillAnswered(reply);
    if (!reply || !reply.ok) return;
    const told = await reply.json();
    if (told.words && link.textContent !== told.words) { window.waybillZone.sentence(link, told.words); link.hidden = false; }
    for (const [id, cells] of Object.entries(told.rows)) {
      for (const [name, words] of Object.entries(cells)) {
        const cell = document.querySelector("#row-" + id + " [data-cell=" + name + "]");
        const place = cell?.querySelector("time") || cell;
        if (place && place.textContent !== words) place.textContent = words;
        if (place?.dateTime) place.dateTime = cells.at;
      }
    }
  };
  setInterval(look, Number(document.documentElement.dataset.poll || 15) * 1000);
  document.addEventListener("waybill:look", look);
})();
