/* What every page does beyond links and forms: a convenience each, and no page needs it.

   data-confirm="Delete it?"   on a button: asks before its form is sent
   data-copy="#id"             on a button: copies that element's text
   data-check-all="name"       on a checkbox: ticks all boxes of that name
   data-needs="name"           on a button: off until a box of that name is ticked
   data-count="name"           on an element: how many boxes of that name are ticked
   data-only-script            on an element that is `hidden` until there is a script */
"use strict";
(() => {
  const boxes = (name) => [...document.querySelectorAll(`input[type="checkbox"][name="${name}"]`)];

  function show() {
    for (const each of document.querySelectorAll("[data-only-script][hidden]")) each.hidden = false;
    for (const each of document.querySelectorAll("[data-needs], [data-count]")) {
      const count = boxes(each.dataset.needs || each.dataset.count).filter((box) => box.checked).length;
      if (each.dataset.needs) each.disabled = !count;
      else each.textContent = count ? `${count} chosen` : "";
    }
    for (const all of document.querySelectorAll("[data-check-all]")) {
      const ticked = boxes(all.dataset.checkAll).filter((box) => box.checked).length;
      all.checked = ticked > 0;
      all.indeterminate = ticked > 0 && ticked < boxes(all.dataset.checkAll).length;
    }
  }

  /* The browser's own question names the host and cannot be styled. */
  function ask(question, verb) {
    const dialog = document.createElement("dialog");
    dialog.className = "dialog";
    dialog.setAttribute("aria-label", question);
    const text = document.createElement("p");
    text.textContent = question;
    const form = document.createElement("form");
    form.method = "dialog";
    form.className = "row";
    for (const [value, label, kind] of [["", "Leave it", ""], ["yes", verb, "danger"]]) {
      const button = document.createElement("button");
      button.value = value;
      button.textContent = label;
      button.className = kind;
      form.append(button);
    }
    dialog.append(text, form);
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue === "yes");
      });
    });
  }

  document.addEventListener("submit", async (event) => {
    const button = event.submitter;
    const question = button?.dataset.confirm;
    if (!question || button.dataset.isConfirmed) return;
    event.preventDefault();
    if (!(await ask(question, button.textContent.trim()))) return button.focus();
    button.dataset.isConfirmed = "yes";
    event.target.requestSubmit(button);
    delete button.dataset.isConfirmed;
  });

  document.addEventListener("change", (event) => {
    const all = event.target.dataset?.checkAll;
    if (all) for (const box of boxes(all)) box.checked = event.target.checked;
    show();
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  /* A menu that was opened is closed by what is done elsewhere, and by Escape. */
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    }
  });

  /* The slash goes to the search, as in the tools that people come from. */
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
    const search = document.querySelector('input[type="search"]');
    if (search) { event.preventDefault(); search.focus(); }
  });

  /* On a phone the places are a strip: the one where one is must be in sight. */
  const strip = document.querySelector(".side nav");
  const here = strip?.querySelector("[aria-current]");
  if (here) strip.scrollLeft = here.offsetLeft - strip.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;

  addEventListener("pageshow", show);
  document.addEventListener("htmx:afterSettle", show);
  show();
})();
