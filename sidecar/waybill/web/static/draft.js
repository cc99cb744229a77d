// The editor's drafts: saved two seconds after a change, under a number that stands in the address.
"use strict";
(() => {
  const form = document.getElementById("edit");
  if (!form) return;
  const typed = document.querySelector(".cm-content");
  if (typed) typed.tabIndex = 0;
  let last = form.elements.text.value;
  // Whether the text is in this tab alone: then the browser asks before it is left.
  let isLost = false;
  addEventListener("beforeunload", (event) => { if (isLost) event.preventDefault(); });
  form.addEventListener("submit", () => { if (form.dataset.asked === "yes") isLost = false; });
  const send = (address, fields) => {
    const body = new URLSearchParams({ form_token: form.elements.form_token.value, ...fields });
    return fetch(address, { method: "POST", body }).catch(() => null);
  };
  if (form.dataset.drafts) setInterval(async () => {
    const text = form.elements.text.value;
    if (text === last) return;
    const words = document.querySelector("[data-draft-words]");
    const before = form.elements.draft.value;
    const fields = { text, file: form.elements.file.value, base: form.elements.base.value, draft: before, saved: form.elements.saved.value };
    const reply = await send(form.dataset.drafts, fields);
    window.waybillAnswered(reply);
    if (!reply || !reply.ok) {
      isLost = true;
      words.textContent = " · not saved, trying again: the text is in this tab";
      if (reply && reply.status === 403) await window.waybillRenew();
      return;
    }
    last = text;
    isLost = false;
    const told = await reply.json();
    form.elements.draft.value = told.draft;
    form.elements.saved.value = told.saved;
    words.textContent = " · draft " + told.draft + " saved" + (before && before !== String(told.draft) ? ", since draft " + before + " was changed elsewhere" : "");
    const [path, query] = form.dataset.drafts.split("?");
    history.replaceState(null, "", path + "/" + told.draft + (query ? "?" + query : ""));
  }, 2000);
  document.addEventListener("change", (event) => {
    const box = event.target.closest("[data-view]");
    if (!box) return;
    send(box.dataset.view, { group: box.dataset.group, mark: box.dataset.mark, on: box.checked ? "1" : "" });
    if (box.checked) box.closest("details").open = false;
    const all = [...document.querySelectorAll("[data-view]")];
    document.querySelector("[data-viewed]").textContent = all.filter((one) => one.checked).length + " of " + all.length + " groups viewed";
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-open-all]")) document.querySelectorAll("details.group").forEach((one) => { one.open = true; });
  });
})();
