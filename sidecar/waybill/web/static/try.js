// A trial as a link: its lines stand behind the sign # of the address, which no browser sends anywhere.
"use strict";
(() => {
  const form = document.getElementById("try");
  const button = document.querySelector("[data-share]");
  const said = document.querySelector("[data-shared]");
  const MOST = 8000;
  const shared = () => "#lines=" + encodeURIComponent(form.elements.lines.value) + "&source=" + encodeURIComponent(form.elements.source.value);
  button.addEventListener("click", async () => {
    const link = location.href.split("#")[0] + shared();
    if (!form.elements.lines.value.trim()) { said.textContent = "There is no line to share."; return; }
    if (link.length > MOST) { said.textContent = "Too much for a link: " + link.length.toLocaleString("en") + " characters, at most " + MOST.toLocaleString("en") + ". Share fewer lines."; return; }
    history.replaceState(null, "", link);
    await navigator.clipboard?.writeText(link).catch(() => null);
    said.textContent = "The address is the link now, and is copied. It holds the lines: anyone who gets it can read them.";
  });
  // Going back to it, the lines are there again.
  if (document.documentElement.dataset.posted) history.replaceState({ lines: form.elements.lines.value, source: form.elements.source.value }, "", location.href);
  else if (history.state?.lines && !form.elements.lines.value) {
    form.elements.lines.value = history.state.lines;
    form.elements.source.value = history.state.source;
  }
  const told = /^#lines=([^&]*)&source=(.*)$/.exec(location.hash);
  if (told && !form.elements.lines.value) {
    form.elements.lines.value = decodeURIComponent(told[1]);
    form.elements.source.value = decodeURIComponent(told[2]);
    form.requestSubmit();
  }
})();
