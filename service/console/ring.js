/* The life of the token in hand: a ring that shrinks, marks where it will be renewed, and is whole again when it was. */

import { say, set, svg, el } from "./dom.js";
import { clock } from "./words.js";

const RADIUS = 100;
const ROUND = 2 * Math.PI * RADIUS;
// The service renews when asked below half of a life, must below a quarter (at most 60 s), and hands nothing out below
// an eighth (at most 30 s).
const MUST_SECS = 60;
const NEVER_SECS = 30;

export class Ring {
  #arc = circle("arc", { "stroke-dasharray": `0 ${ROUND}` });
  #due = svg("line", { class: "due", x1: 0, y1: -RADIUS - 13, x2: 0, y2: -RADIUS + 13 });
  #marks = svg("g", { class: "marks" });
  #time = el("strong", { class: "time" });
  #next = el("span", { class: "next" });
  #above = el("span", { class: "above" });
  #picture = svg(
    "svg",
    { viewBox: "-125 -125 250 250", role: "img" },
    circle("track"),
    this.#marks,
    this.#arc,
    this.#due,
  );

  constructor() {
    this.node = el(
      "div",
      { class: "ring" },
      this.#picture,
      el("div", { class: "inside" }, this.#above, this.#time, this.#next),
    );
  }

  /** Show a call at this moment. */
  show(call) {
    const now = performance.now();
    const token = call?.lives.at(-1);
    const left = call && token && call.running ? call.left(now) : 0;
    const life = token?.life ?? 1;
    set(this.#arc, "stroke-dasharray", `${(Math.min(1, left / life) * ROUND).toFixed(2)} ${ROUND.toFixed(2)}`);
    set(this.node, "data-zone", left ? zone(left / 1000, life / 1000) : "none");
    set(this.node, "data-state", call?.state ?? "idle");
    this.#mark(left && token);
    this.#point(call, token, left);
    this.#words(call, left, now);
  }

  /** The moment of renewal: let it be seen. */
  pulse() {
    this.node.classList.remove("renewed");
    // Reading a measure makes the browser notice that the class was gone.
    void this.node.offsetWidth;
    this.node.classList.add("renewed");
  }

  #mark(token) {
    const lines = token ? [token.life / 2, must(token.life / 1000) * 1000, never(token.life / 1000) * 1000] : [];
    const shown = lines.map((line) => line / token.life);
    if (this.#marks.dataset.shown === String(shown)) return;
    this.#marks.dataset.shown = String(shown);
    this.#marks.replaceChildren(
      ...shown.map((share) =>
        svg("line", {
          x1: 0,
          x2: 0,
          y1: -RADIUS - 14,
          y2: -RADIUS - 20,
          transform: `rotate(${share * 360})`,
        }),
      ),
    );
  }

  #point(call, token, left) {
    const wait = call?.askAt ? call.askAt - performance.now() : null;
    const share = token && left && wait !== null ? (left - Math.max(0, wait)) / token.life : null;
    set(this.#due, "visibility", share === null || share < 0 ? "hidden" : "visible");
    if (share !== null) set(this.#due, "transform", `rotate(${(share * 360).toFixed(1)})`);
  }

  #words(call, left, now) {
    const state = call?.state ?? "idle";
    const wait = call?.askAt ? Math.max(0, call.askAt - now) / 1000 : null;
    say(this.#time, state === "in" ? clock(left / 1000) : ({ joining: "…", ended: "Out" }[state] ?? "—"));
    say(this.#above, state === "in" ? "token lives" : "");
    const asking = wait === null ? "asking now" : `asks again in ${clock(wait)}`;
    say(this.#next, call?.running ? asking : state === "ended" ? "call ended" : "no token yet");
    const words = state === "in" ? `The token lives ${clock(left / 1000)} more; ${asking}.` : "No token in use.";
    // Once in five seconds is often enough for those who have it read to them.
    if (!this.#picture.hasAttribute("aria-label") || Math.floor(now / 1000) % 5 === 0)
      set(this.#picture, "aria-label", words);
  }
}

function circle(name, more = {}) {
  return svg("circle", { class: name, r: RADIUS, transform: "rotate(-90)", ...more });
}

function must(life) {
  return Math.min(MUST_SECS, life / 4);
}

function never(life) {
  return Math.min(NEVER_SECS, life / 8);
}

/** How urgent renewing is, for a token with `left` of `life` seconds. */
export function zone(left, life) {
  if (left < never(life)) return "never";
  if (left < must(life)) return "must";
  return left < life / 2 ? "due" : "fresh";
}
