/* Elements are made here, of values and never of markup: what somebody else wrote can only ever become text. */

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on` holds listeners, `text` the text, booleans switch attributes, everything else is an attribute. */
export function el(tag, facts = {}, ...children) {
  return dressed(document.createElement(tag), facts, children);
}

/** The same for SVG. */
export function svg(tag, facts = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), facts, children);
}

function dressed(node, facts, children) {
  for (const [name, value] of Object.entries(facts)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "text") {
      node.textContent = value;
    } else {
      set(node, name, value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Set or take away an attribute, but only if that changes something. */
export function set(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Set the text, but only if that changes something: a repaint may not disturb what is being read out. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make the children of `parent` those of `items`, keeping the nodes (and so the focus) of items that stay. */
export function keyed(parent, items, keyOf, make, update) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let node = old.get(key);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = key;
    }
    old.delete(key);
    update(node, item);
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
  }
  for (const node of old.values()) node.remove();
}

/** A button that is busy, and cannot be pressed again, until its work is done. */
export function button(text, work, facts = {}) {
  const node = el("button", { type: "button", ...facts, text });
  node.addEventListener("click", async () => {
    if (node.getAttribute("aria-disabled") === "true") return;
    node.setAttribute("aria-disabled", "true");
    try {
      await work(node);
    } finally {
      node.removeAttribute("aria-disabled");
    }
  });
  return node;
}

/** Tell those who do not see the page what has just happened. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}

/** A form field with its label; the input is the last child. */
export function field(label, input, hint) {
  input.id ||= `f${Math.random().toString(36).slice(2)}`;
  const note = hint ? el("small", { id: `${input.id}-hint`, text: hint }) : null;
  if (note) input.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: input.id, text: label }), note, input);
}

/** Somebody or something, with what is to be known of it below. */
export function named(name, more) {
  return el("div", { class: "is" }, el("strong", { text: name }), el("span", { class: "sub", text: more }));
}

/** Make a list of terms say `rows`: [term, text] for each. */
export function tell(list, rows) {
  const made = ([term]) => el("div", {}, el("dt", { text: term }), el("dd"));
  keyed(
    list,
    rows,
    ([term]) => term,
    made,
    (node, [, text]) => say(node.lastElementChild, String(text)),
  );
}

/** The circle with somebody's initials. */
export function avatar(name) {
  const initials = name
    .split(/[\s:._-]+/u)
    .filter(Boolean)
    .map((word) => word[0])
    .slice(0, 2)
    .join("");
  const tint = [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 6;
  return el("span", { class: "avatar", "data-tint": tint, "aria-hidden": "true", text: initials.toUpperCase() });
}
