/* What is asked before something is done, and what is told when it could not be. */

import { el, field, say } from "./dom.js";
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

/** Fill in a form and have `work(values, names of those that were changed)` do what it is for; answers what that
 * answers, or null. `fields` is [name, label, input, hint] for each, named as the service names them: what it refuses
 * is told at the field, and the form stays open.
 */
export async function filled(heading, fields, yes, work) {
  const inputs = fields.map(([name, label, input, note]) => {
    input.name = name;
    return field(label, input, note);
  });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const form = el("form", { method: "dialog" }, inputs, wrong, choices(yes));
  const before = valuesOf(form);
  let done = null;
  form.addEventListener("input", (event) => event.target.setCustomValidity(""));
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "yes") return;
    event.preventDefault();
    try {
      const given = valuesOf(form);
      done = await work(given, Object.keys(given).filter((name) => given[name] !== before[name]));
      form.closest("dialog").close("yes");
    } catch (problem) {
      blame(form, wrong, problem);
    }
  });
  await open(heading, form).closed;
  return done;
}

function valuesOf(form) {
  return Object.fromEntries(new FormData(form));
}

/** A message that names other fields, by their labels. */
function inWords(message, form) {
  return message.replaceAll(/\b[a-z]+(?:_[a-z]+)+\b/gu, (name) => {
    const label = form.elements.namedItem(name)?.labels?.[0];
    return label ? `“${label.textContent}”` : name;
  });
}

function blame(form, wrong, problem) {
  const faults = problem.faults ?? [];
  const rest = [];
  for (const { field: place, message } of faults) {
    const input = form.elements.namedItem(place.split("/").find(Boolean) ?? "");
    if (input?.setCustomValidity) input.setCustomValidity(inWords(message, form));
    else rest.push(`${place} ${message}`);
  }
  say(wrong, faults.length ? rest.join("; ") : sentence(problem));
  form.reportValidity();
}

function sentence(problem) {
  const faults = (problem.faults ?? []).map((fault) => `${fault.field.replace("/", "")} ${fault.message}`);
  return `${title(problem.code ?? "unexpected")}. ${faults.join("; ") || hint(problem.code) || problem.message}`;
}

/** Do the work of a form in the page when it is sent; what goes wrong is told below its fields. */
export function sending(form, work) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  form.append(wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(wrong, "");
    await work().catch((problem) => say(wrong, sentence(problem)));
  });
  return form;
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
