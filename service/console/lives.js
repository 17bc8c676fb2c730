/* All tokens of a call on one line of time: each a bar from its making to its end, each question to the service a dot,
 * and the outages that were made meanwhile behind them.
 */

import { set, svg, el } from "./dom.js";

const HEIGHT = 104;
const LANES = 3;
const LANE = 20;
const TOP = 12;
const LEAST_SPAN_MS = 40_000;
// Of the width: the past, up to now; the rest is the future in which the token in hand will end.
const PAST = 0.58;
const MARKS =
  "On the ring: the long mark is the next question. The short ones are half, a quarter and an eighth of a life, " +
  "below which a token is renewed when asked for, has to be renewed, and is handed out no more.";

export class Lives {
  #outages = svg("g", { class: "outages" });
  #bars = svg("g", { class: "bars" });
  #dots = svg("g", { class: "dots" });
  #now = svg("line", { class: "now", y1: 0, y2: HEIGHT - 18 });
  #scale = svg("g", { class: "scale" });
  #picture = svg(
    "svg",
    { height: HEIGHT, width: "100%", role: "img" },
    this.#outages,
    this.#scale,
    this.#bars,
    this.#now,
    this.#dots,
  );

  constructor() {
    this.node = el(
      "figure",
      { class: "lives" },
      this.#picture,
      el(
        "figcaption",
        {},
        legend("issued", "issued or refreshed"),
        legend("cache", "cache"),
        legend("stale", "stale"),
        legend("refused", "refused"),
        legend("outage", "Telnyx in trouble"),
      ),
      el("p", { class: "note", text: MARKS }),
    );
  }

  /** Show a call and the `outages` ({from, until}) at this moment. */
  show(call, outages) {
    const now = performance.now();
    const width = this.#picture.clientWidth || 600;
    const life = Math.max(...(call?.lives ?? []).map((token) => token.life), 0);
    const span = Math.max(LEAST_SPAN_MS, life * 2.6);
    const place = (at) => Math.round((PAST + (at - now) / span) * width * 10) / 10;
    const seen = (from, until) => until > now - span * PAST && from < now + span * (1 - PAST);
    set(this.#picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    set(this.#now, "x1", width * PAST);
    set(this.#now, "x2", width * PAST);
    this.#outages.replaceChildren(
      ...outages
        .filter((outage) => seen(outage.from, outage.until ?? now))
        .map((outage) => box(place(outage.from), 0, place(outage.until ?? now), HEIGHT - 18, 0)),
    );
    this.#bars.replaceChildren(...this.#tokens(call, now, place, seen));
    this.#dots.replaceChildren(
      ...(call?.answers ?? [])
        .filter((answer) => seen(answer.at, answer.at))
        .map((answer) => dot(answer, place(answer.at), call)),
    );
    this.#scale.replaceChildren(...ticks(span, now, place, width));
    set(
      this.#picture,
      "aria-label",
      call ? `${call.lives.length} tokens, ${call.answers.length} answers so far.` : "No call yet.",
    );
  }

  #tokens(call, now, place, seen) {
    const ended = call?.state === "ended";
    return (call?.lives ?? [])
      .map((token, index) => ({ token, index }))
      .filter(({ token }) => seen(token.from, token.until))
      .flatMap(({ token, index }) => {
        const lane = TOP + (index % LANES) * (LANE + 4);
        const current = index === call.lives.length - 1 && !ended;
        const whole = box(place(token.from), lane, place(token.until), lane + LANE, 5);
        set(whole, "class", current ? "bar current" : "bar");
        const lived = box(place(token.from), lane, place(Math.min(now, token.until)), lane + LANE, 5);
        set(lived, "class", current ? "lived current" : "lived");
        return [whole, lived];
      });
  }
}

function dot(answer, x, call) {
  const index = call.lives.findLastIndex((token) => token.given <= answer.at + 1);
  const y = TOP + LANE / 2 + (Math.max(0, index) % LANES) * (LANE + 4);
  if (answer.code) {
    return svg("path", { class: "dot refused", d: `M${x - 4} ${y - 4}l8 8m0-8l-8 8` });
  }
  return svg("circle", { class: `dot ${answer.source}`, cx: x, cy: y, r: 5 });
}

function box(x, y, right, bottom, radius) {
  return svg("rect", { x, y, width: Math.max(0.1, right - x), height: bottom - y, rx: radius });
}

function ticks(span, now, place, width) {
  const step = [10, 30, 60, 300, 600, 1800].find((secs) => (span / 1000 / secs) * 64 < width) ?? 3600;
  const marks = [];
  for (let secs = -step * 12; secs <= step * 12; secs += step) {
    const x = place(now + secs * 1000);
    if (x < 24 || x > width - 24) continue;
    const size = Math.abs(secs) < 60 ? `${Math.abs(secs)} s` : `${Math.abs(secs) / 60} min`;
    const text = secs === 0 ? "now" : secs < 0 ? `−${size}` : `+${size}`;
    marks.push(svg("text", { x, y: HEIGHT - 3, "text-anchor": "middle", text }));
  }
  return marks;
}

function legend(name, text) {
  return el("span", { class: `key ${name}` }, text);
}
