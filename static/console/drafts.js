/* What somebody writes into a form outlives a session that ends meanwhile.

   data-draft   on a form: what it sends is kept in this tab until the next page answers.
                If that is the page to sign in, it is put back once its writer, and nobody
                else, returns to the form. Passwords and files are never kept. */
"use strict";
(() => {
  const KEY = "sentrascan-draft";
  const place = location.pathname + location.search;
  const writer = () => document.querySelector(".account .who b")?.textContent ?? "";
  const kept = (field) => field.name && field.name !== "csrfmiddlewaretoken" &&
    !["password", "file", "submit"].includes(field.type);

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !("draft" in form.dataset)) return;
    const values = [...form.elements].filter(kept).map((field) => [field.name, field.value]);
    sessionStorage.setItem(KEY, JSON.stringify({ place, writer: writer(), values }));
  });

  const stored = sessionStorage.getItem(KEY);
  if (!stored) return;
  const draft = JSON.parse(stored);
  if (!writer()) {
    // Nobody is signed in: the form was not taken.
    sessionStorage.setItem(KEY, JSON.stringify({ ...draft, isLost: true }));
    return;
  }
  sessionStorage.removeItem(KEY);
  const form = document.querySelector("form[data-draft]");
  if (!draft.isLost || !form || draft.place !== place || draft.writer !== writer()) return;
  for (const [name, value] of draft.values) {
    const field = form.elements.namedItem(name);
    if (field && "value" in field) field.value = value;
  }
  const said = document.createElement("p");
  said.className = "message message-info";
  said.setAttribute("role", "status");
  said.textContent = "Your session had ended, and nothing was saved. This is what you wrote.";
  form.prepend(said);
})();
