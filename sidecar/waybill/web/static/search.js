// The field in the header: what it finds while one types, a list to go through with the arrows.
"use strict";
(() => {
  const field = document.getElementById("search");
  const list = document.getElementById("found");
  if (!field || !list) return;
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": "found", "aria-autocomplete": "list", autocomplete: "off" })) field.setAttribute(name, value);
  let timer = 0;
  let asked = null;
  const options = () => [...list.querySelectorAll("[role=option]")];
  const close = () => {
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (one) => {
    options().forEach((other) => other.setAttribute("aria-selected", String(other === one)));
    if (!one) { field.removeAttribute("aria-activedescendant"); return; }
    field.setAttribute("aria-activedescendant", one.id);
    one.scrollIntoView({ block: "nearest" });
  };
  const show = (groups) => {
    list.replaceChildren();
    groups.forEach((group, i) => {
      const part = document.createElement("div");
      const head = document.createElement("div");
      part.setAttribute("role", "group");
      part.setAttribute("aria-labelledby", "found-" + i);
      head.id = "found-" + i;
      head.className = "sub";
      head.textContent = group.name;
      part.append(head);
      group.items.forEach((item, k) => {
        const one = document.createElement("a");
        one.id = "found-" + i + "-" + k;
        one.href = item.where;
        one.tabIndex = -1;
        one.setAttribute("role", "option");
        one.setAttribute("aria-selected", "false");
        one.textContent = item.words;
        part.append(one);
      });
      list.append(part);
    });
    list.hidden = !groups.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    field.removeAttribute("aria-activedescendant");
  };
  const ask = async () => {
    const text = field.value.trim();
    asked?.abort();
    if (!text) { close(); return; }
    asked = new AbortController();
    const address = list.dataset.search + (list.dataset.search.includes("?") ? "&" : "?") + "q=" + encodeURIComponent(text.slice(0, 300));
    const reply = await fetch(address, { signal: asked.signal }).catch(() => null);
    if (!reply || !reply.ok || field.value.trim() !== text || document.activeElement !== field) return;
    show((await reply.json()).groups);
  };
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 150); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) { close(); event.stopPropagation(); event.preventDefault(); return; }
    if (list.hidden) return;
    const all = options();
    const at = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
    else if (event.key === "ArrowUp") choose(all[at > 0 ? at - 1 : all.length - 1]);
    else if (event.key === "Home" && at >= 0) choose(all[0]);
    else if (event.key === "End" && at >= 0) choose(all[all.length - 1]);
    else if (event.key === "Enter" && at >= 0) all[at].click();
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  field.addEventListener("blur", close);
})();
