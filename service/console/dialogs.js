/* What is asked before something is done, and what is told when it could not be. */

import { el, field } from "./dom.js";
import { hint, title } from "./words.js";

const TOLD_MS = 8000;

/** Open a dialog that is gone when it is closed; answers its promise of the button pressed ("" for none). */
export function open(heading, ...content) {
  const name = `d${Math.random().toString(36).slice(2)}`;
  const dialog = el("dialog", { "aria-labelledby": name }, el("h2", { id: name, text: heading }), ...content);
  document.body.append(dialog);
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  dialog.showModal();
  return { dialog, closed };
}

/** The buttons at a dialog's end: one closes it, the other does it. */
function choices(yes, facts = {}) {
  return el(
    "div",
    { class: "choices" },
    el("button", { class: "quiet", value: "", formnovalidate: true, type: "submit", text: "Cancel" }),
    el("button", { value: "yes", type: "submit", class: "solid", ...facts, text: yes }),
  );
}

/** Whether somebody means it. */
export async function confirmed(heading, text, yes) {
  const form = el("form", { method: "dialog" }, el("p", { text }), choices(yes, { class: "danger solid" }));
  return (await open(heading, form).closed) === "yes";
}

/** Fill in a form; answers its values by name, or null. `fields` is [name, label, input, hint] for each. */
export async function filled(heading, fields, yes) {
  const inputs = fields.map(([name, label, input, note]) => {
    input.name = name;
    return field(label, input, note);
  });
  const form = el("form", { method: "dialog" }, inputs, choices(yes));
  if ((await open(heading, form).closed) !== "yes") return null;
  return Object.fromEntries(new FormData(form));
}

/** Participant or moderator. */
export function roleChoice() {
  const options = [
    ["participant", "Participant"],
    ["moderator", "Moderator"],
  ];
  return el(
    "select",
    {},
    options.map(([value, text]) => el("option", { value, text })),
  );
}

/** Say what went wrong, for a while. */
export function toast(problem) {
  const code = problem.code ?? "unexpected";
  const faults = (problem.faults ?? []).map((fault) => `${fault.field} ${fault.message}`).join("; ");
  const box = el(
    "div",
    { class: "toast", role: "alert" },
    el("strong", { text: title(code) }),
    el("span", { text: faults || hint(code) || problem.message }),
  );
  document.body.append(box);
  setTimeout(() => box.remove(), TOLD_MS);
}
