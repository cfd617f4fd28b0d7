/* The form of a new scan: files and folders are dropped, and their way is shown.
   Without this script the form still sends what was chosen. */
"use strict";
(() => {
  let chosen = [];
  const form = () => document.querySelector("form[data-upload]");

  function size(bytes) {
    for (const unit of ["bytes", "KB", "MB", "GB"]) {
      if (bytes < 1024 || unit === "GB") return `${unit === "bytes" ? bytes : bytes.toFixed(1)} ${unit}`;
      bytes /= 1024;
    }
  }

  function choose(files) {
    chosen = files;
    const list = document.querySelector("[data-chosen]");
    const lines = chosen.slice(0, 6).map(({ name, file }) => `${name} (${size(file.size)})`);
    const total = chosen.reduce((sum, { file }) => sum + file.size, 0);
    if (chosen.length > 6) lines.push(`and ${chosen.length - 6} more, ${size(total)} in all`);
    list.replaceChildren(...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
    const kind = document.querySelector("#scan_type");
    if (chosen.length === 1 && /mcp.*\.json$/i.test(chosen[0].name)) kind.value = "mcp";
  }

  /* A folder's reader gives a hundred entries at a time, until it gives none. */
  async function below(entry, path = "") {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return [{ name: path + entry.name, file }];
    }
    const reader = entry.createReader(), found = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return found;
      for (const each of some) found.push(...await below(each, `${path}${entry.name}/`));
    }
  }

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.type !== "file") return;
    choose([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
  });

  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, async (event) => {
      const zone = document.querySelector("[data-drop]");
      if (!zone || !event.dataTransfer) return;
      event.preventDefault();
      zone.classList.toggle("drop-over", name === "dragenter" || name === "dragover");
      if (name !== "drop") return;
      form().elements.way.value = "file";
      const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
      const entries = items.map((item) => item.webkitGetAsEntry());
      const files = items.map((item) => item.getAsFile());
      const found = await Promise.all(entries.map((entry, i) =>
        entry ? below(entry) : [{ name: files[i].name, file: files[i] }]));
      choose(found.flat());
    });
  }

  document.addEventListener("submit", (event) => {
    if (event.target !== form() || form().elements.way.value !== "file" || !chosen.length) return;
    event.preventDefault();
    const data = new FormData(form());
    data.delete("file");
    for (const { name, file } of chosen) data.append("file", file, name);
    send(data);
  });

  function send(data) {
    const box = document.querySelector("[data-sending]");
    const bar = box.querySelector("progress"), said = box.querySelector("p");
    const button = form().querySelector("button.primary");
    const request = new XMLHttpRequest();
    const over = (text) => { said.textContent = text; button.disabled = false; };
    box.hidden = false;
    button.disabled = true;
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
      said.textContent = loaded < total ? `Sent ${size(loaded)} of ${size(total)}` : "Sent. It is checked and queued …";
    });
    request.addEventListener("load", () => {
      if (request.status < 400) return location.assign(request.responseURL);
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const wrong = page.querySelector("#wrong") || page.querySelector(".card p");
      document.querySelector("#wrong")?.remove();
      over("");
      box.hidden = true;
      if (!wrong) return;
      wrong.id = "wrong";
      form().before(wrong);
      wrong.scrollIntoView({ block: "center" });
    });
    request.addEventListener("error", () => over("The connection broke. Nothing was queued; send it again."));
    request.open("POST", form().action);
    request.send(data);
  }
})();
