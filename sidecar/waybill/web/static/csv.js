// Sending a file: only XMLHttpRequest tells how much of it has gone.
"use strict";
(() => {
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const field = form.querySelector("input[type=file]");
  const words = form.querySelector("#sent-words");
  const bar = form.querySelector("#sent");
  const stop = form.querySelector("#stop");
  // A file is sent when it is chosen: the button is for one that was not taken.
  const again = form.querySelector("#send");
  again.hidden = true;
  const drop = form.querySelector(".drop");
  const megabytes = (bytes) => (bytes / 1048576).toFixed(bytes < 10485760 ? 1 : 0);
  let request = null;
  let under_way = false;
  const refusal = () => {
    const told = request.responseText.trim().split("\n")[0].slice(0, 300);
    const ours = (request.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    if (request.status === 413 && !ours) {
      return "Something between browser and workbench limits uploads (" + megabytes(field.files[0].size)
        + " MB were refused); for an nginx ingress set proxy-body-size, or send it compressed (.gz, .zst).";
    }
    return ours ? told : "Not sent: the answer was " + request.status + ".";
  };
  const send = () => {
    const file = field.files[0];
    if (!file || under_way) return;
    if (file.size > Number(form.dataset.most)) {
      words.textContent = file.name + " has " + megabytes(file.size) + " MB; workbench.upload_bytes allows "
        + megabytes(Number(form.dataset.most)) + ". Compressed (.gz, .zst) it may fit.";
      return;
    }
    const begin = performance.now();
    request = new XMLHttpRequest();
    stop.hidden = false;
    under_way = true;
    again.hidden = true;
    request.onloadend = () => { under_way = request.status === 200; again.hidden = under_way; };
    request.upload.onprogress = (event) => {
      const rate = event.loaded / Math.max(0.001, (performance.now() - begin) / 1000);
      bar.hidden = false; bar.value = event.loaded / event.total;
      words.textContent = file.name + ": " + megabytes(event.loaded) + " of " + megabytes(event.total) + " MB, "
        + megabytes(rate) + " MB/s";
    };
    request.onload = () => {
      stop.hidden = true;
      if (request.status === 200) { location.href = request.responseURL; return; }
      words.textContent = refusal();
    };
    request.onerror = () => { stop.hidden = true; words.textContent = "The connection broke; nothing was kept."; };
    request.onabort = () => { stop.hidden = true; bar.hidden = true; words.textContent = "Not sent; nothing was kept."; };
    request.open("POST", form.action);
    const body = new FormData();
    body.append("form_token", form.elements.form_token.value);
    body.append("file", file);
    request.send(body);
  };
  window.addEventListener("pageshow", () => { under_way = false; });
  stop.addEventListener("click", () => request?.abort());
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  field.addEventListener("change", send);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) { field.files = event.dataTransfer.files; send(); }
  });
})();
