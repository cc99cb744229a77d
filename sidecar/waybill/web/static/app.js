// Keys and small helps. Pages work without this file: every key has a button or a link.
"use strict";
document.documentElement.classList.add("scripted");
// The answer to a form is kept by no browser: who comes back to it sees its page, not an error.
if (document.documentElement.dataset.posted) history.replaceState(null, "", document.documentElement.dataset.posted);
(() => {
  const inField = (element) => element && (element.matches("input:not([type=checkbox], [type=radio], [type=file]), textarea, select") || element.isContentEditable);
  const visible = (element) => element && element.offsetParent !== null;
  const press = (key) => {
    for (const element of document.querySelectorAll("[data-key]")) {
      if (element.dataset.key === key && visible(element) && !element.disabled) { element.click(); return true; }
    }
    return false;
  };
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  const move = (step) => {
    const all = rows();
    if (!all.length) return false;
    const at = all.findIndex((row) => row.getAttribute("aria-selected") === "true");
    const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
    all.forEach((row) => row.setAttribute("aria-selected", String(row === next)));
    next.querySelector("a")?.focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  };
  const tick = () => {
    const box = document.querySelector("tr[data-row][aria-selected=true] input[type=checkbox]");
    box?.click();
    return Boolean(box);
  };
  let waiting = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.documentElement.dataset.keys === "off") return;
    if (inField(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
    const key = event.key;
    let done = false;
    if (waiting === "g") { done = press("g " + key); waiting = ""; }
    else if (key === "g") { waiting = "g"; done = true; }
    else if (key === "j") done = press("j") || move(1);
    else if (key === "k") done = press("k") || move(-1);
    else if (key === "Enter" && event.target.closest("a, button, summary")) return;
    else if (key === "f") { const field = document.querySelector("#q"); field?.focus(); done = Boolean(field); }
    else if (document.querySelector('[data-focus-key="' + CSS.escape(key) + '"]')) { document.querySelector('[data-focus-key="' + CSS.escape(key) + '"]').focus(); done = true; }
    else if (key === "/") { const field = document.querySelector("#search"); field?.focus(); done = Boolean(field); }
    else if (key === "Escape") { document.querySelector("details[open][data-menu]")?.removeAttribute("open"); }
    else done = press(key) || Boolean(window.waybillRow?.(event)) || (key === "x" && tick());
    if (done) event.preventDefault();
  });
  // What an answer would do, said for the label under the pointer or in focus.
  const say = (event) => {
    const one = event.target.closest?.("button[data-says]:not([data-choose])");
    const place = one?.closest("form").querySelector("[data-effect]");
    if (place) place.textContent = one.dataset.says;
  };
  document.addEventListener("pointerover", say);
  document.addEventListener("focusin", say);
  // Where an answer changes very much, its key is pressed twice.
  document.addEventListener("click", (event) => {
    const one = event.target.closest("form[data-confirm] button[name=label]");
    if (!one || one.dataset.sure) return;
    one.form.querySelectorAll("[data-sure]").forEach((other) => { delete other.dataset.sure; });
    one.dataset.sure = "yes";
    const place = one.form.querySelector(".said");
    if (place) place.textContent = one.dataset.says + ": " + one.form.dataset.confirm;
    event.preventDefault();
  }, true);
  // A menu of labels: the key opens it, the label's key chooses, Enter sends.
  document.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-choose]");
    if (choice) {
      const form = choice.closest("form");
      form.elements.label.value = choice.dataset.choose;
      form.querySelectorAll("[data-choose]").forEach((one) => one.setAttribute("aria-pressed", String(one === choice)));
      const said = form.querySelector("[data-effect]");
      if (said) said.textContent = choice.dataset.says;
      const send = form.querySelector("[data-send]");
      if (send) { send.disabled = false; send.focus(); }
    }
    const opener = event.target.closest("[data-open]");
    if (opener) {
      const target = document.getElementById(opener.dataset.open);
      if (target) { target.hidden = !target.hidden; opener.setAttribute("aria-expanded", String(!target.hidden)); }
    }
    if (event.target.closest("[data-print]")) window.print();
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = copy.hasAttribute("data-link") ? new URL(copy.dataset.copy, location.href).href : copy.dataset.copy;
      navigator.clipboard?.writeText(text);
      const words = [...copy.childNodes];
      copy.textContent = "Copied";
      setTimeout(() => copy.replaceChildren(...words), 1500);
    }
  });
  const keep = (name, value) => { document.cookie = name + "=" + value + ";path=/;max-age=31536000;samesite=strict" + (location.protocol === "https:" ? ";secure" : ""); };
  window.waybillKeep = keep;
  for (const button of document.querySelectorAll("[data-keys-switch]")) {
    button.addEventListener("click", () => {
      const on = document.documentElement.dataset.keys === "off";
      document.documentElement.dataset.keys = on ? "on" : "off";
      button.setAttribute("aria-pressed", String(on));
      keep("waybill_keys", on ? "on" : "off");
    });
  }
  for (const button of document.querySelectorAll("[data-density-switch]")) {
    button.addEventListener("click", () => {
      const on = document.documentElement.dataset.density !== "compact";
      document.documentElement.dataset.density = on ? "compact" : "";
      button.setAttribute("aria-pressed", String(on));
      keep("waybill_density", on ? "compact" : "");
    });
  }
  for (const link of document.querySelectorAll("[data-theme-switch]")) {
    link.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      keep("waybill_theme", root.dataset.theme);
    });
  }
  // Parts are renewed while a page is open. What is shown stays when no answer comes, and the page says so.
  const now = () => new Date().toISOString().slice(0, 19).replace("T", " ") + " UTC";
  window.waybillSay = (words) => {
    const bar = document.getElementById("silent");
    window.waybillZone.sentence(bar, words);
    bar.hidden = false;
  };
  window.waybillAnswered = (reply) => {
    const bar = document.getElementById("silent");
    const good = Boolean(reply && reply.ok);
    if (!good && bar.hidden) {
      const words = reply && reply.status === 401 ? "You are logged out since " + now() + ": log in in another tab, and this page goes on."
        : reply && reply.words ? "Refused at " + now() + ": " + reply.words + " What is shown is from before."
          : "No answer since " + now() + ": what is shown is from before. It is tried again.";
      window.waybillSay(words);
    }
    bar.hidden = good;
  };
  // Anyone who logs in again, in another tab, has new tokens: forms of this page get theirs.
  window.waybillRenew = async () => {
    const reply = await fetch(location.href).catch(() => null);
    const page = reply?.ok ? new DOMParser().parseFromString(await reply.text(), "text/html") : null;
    const token = page?.querySelector("input[name=form_token]")?.value;
    if (token) for (const field of document.querySelectorAll("input[name=form_token]")) field.value = token;
  };
  // On a narrow screen the pages stand in a row that scrolls: the one that is open is in sight.
  const here = document.querySelector("header nav [aria-current=page]");
  if (here && here.parentElement.scrollWidth > here.parentElement.clientWidth) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 24;
  // While an answer is awaited a thin bar runs, and the page is busy for a screen reader.
  let awaited = 0;
  const busy = (step) => {
    awaited = Math.max(0, awaited + step);
    if (awaited) document.body.setAttribute("aria-busy", "true"); else document.body.removeAttribute("aria-busy");
  };
  document.addEventListener("htmx:before:request", () => busy(1));
  document.addEventListener("htmx:finally:request", () => busy(-1));
  // A form that is sent to nobody would leave this page, and what was typed with it: so it is asked first.
  const away = async () => {
    const reply = await fetch(document.documentElement.dataset.health, { cache: "no-store", redirect: "manual" }).catch(() => null);
    if (reply?.ok) return "";
    return reply?.type === "opaqueredirect" ? "You are logged out: log in in another tab" : "The workbench does not answer";
  };
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.hasAttribute("hx-post")) return;
    if (form.method !== "post" || form.dataset.asked === "yes") { delete form.dataset.asked; busy(1); return; }
    event.preventDefault();
    if (form.dataset.asked) return;
    form.dataset.asked = "now";
    const why = await away();
    delete form.dataset.asked;
    if (why) {
      window.waybillSay("Not sent at " + now() + ": " + why + ". What you typed stays here; press again.");
      return;
    }
    document.getElementById("silent").hidden = true;
    form.dataset.asked = "yes";
    form.requestSubmit(event.submitter);
  });
  window.addEventListener("pageshow", () => {
    awaited = 0; busy(0);
    // What was typed is there again after going back: so is the place that it stands in.
    for (const opener of document.querySelectorAll("[data-open]")) {
      const place = document.getElementById(opener.dataset.open);
      if (place?.hidden && [...place.querySelectorAll("input[type=text]")].some((one) => one.value)) opener.click();
    }
  });
  document.addEventListener("htmx:error", () => window.waybillAnswered(null));
  // A refusal has none of the parts of a page: putting it in would empty what is shown.
  document.addEventListener("htmx:before:swap", (event) => {
    const told = event.detail?.ctx;
    const status = told?.response?.status || 0;
    if (status < 400) return;
    event.preventDefault();
    if (status === 403) window.waybillRenew();
    const ours = (told.response.headers?.get("Content-Type") || "").startsWith("text/plain");
    window.waybillAnswered({ ok: false, status, words: ours ? (told.text || "").trim().split("\n")[0].slice(0, 300) : "" });
  });
  document.addEventListener("htmx:after:swap", () => window.waybillAnswered({ ok: true }));
  // A table that is wider than its place, and has nothing that takes the focus, takes it itself: for arrow keys.
  const reachable = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth <= box.clientWidth || box.querySelector("a[href], button, input, select, textarea")) continue;
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", box.querySelector("caption")?.textContent || "Table");
    }
  };
  reachable();
  window.addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);
  document.addEventListener("htmx:after:swap", reachable);
  // A page that waits for its first data looks for them, and is shown anew when something has changed.
  const begins = document.querySelector("[data-begins]");
  if (begins) setInterval(async () => {
    const reply = document.visibilityState === "hidden" ? null : await fetch(location.href).catch(() => null);
    if (reply?.ok && !(await reply.text()).includes('data-begins="' + begins.dataset.begins + '"')) location.reload();
  }, 5000);
  // One tick for all rows whose boxes belong to a form.
  document.addEventListener("change", (event) => {
    const of = event.target.dataset.tickAll;
    if (of) for (const box of document.querySelectorAll(`input[type=checkbox][form="${of}"]`)) box.checked = event.target.checked;
  });
  const submitOnChange = (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); };
  document.addEventListener("change", submitOnChange);
})();
