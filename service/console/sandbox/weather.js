/* The sandbox's part of the page: what Telnyx is made to do, what it was asked, and others who are brought in. */

import { announce, button, el, keyed, set, tell } from "./dom.js";
import { toast } from "./dialogs.js";

/** What Telnyx can be made to do, each with what to look for. */
export const WEATHER = [
  { name: "fine", title: "Working", hint: "Answers at once" },
  { name: "slow", title: "Slow", hint: "2 s for each answer", fault: "latency", secs: 2 },
  { name: "throttling", title: "Throttling", hint: "429, come back later", fault: "rate_limit" },
  { name: "down", title: "Down", hint: "503 to everything", fault: "status", status: 503 },
  { name: "hanging", title: "Hanging", hint: "No answer at all", fault: "hang", secs: 30 },
  { name: "nonsense", title: "Talking nonsense", hint: "HTML where JSON was", fault: "garbage" },
  { name: "keyless", title: "Refusing our API key", hint: "401; renewals need no key" },
];

/** The switches of the sandbox. `outages` gets a span for as long as Telnyx is not fine. */
export class Weather {
  #sandbox;
  #outages;
  #choices = new Map();
  #extras;
  #choosing = 0; // choices under way
  #made = 0; // choices that were
  #counts = el("dl", { class: "facts counts" });
  #people = el("div", { class: "tools wrap" });

  /** `extras` brings in others: {users, toggle(user), among(user), intrude(kind), ready()}. */
  constructor(sandbox, outages, extras) {
    this.#sandbox = sandbox;
    this.#outages = outages;
    this.#extras = extras;
    this.node = el(
      "section",
      { class: "card sandbox", "aria-labelledby": "weather-title" },
      el("h2", { id: "weather-title", text: "Sandbox" }),
      el("p", { class: "note", text: "Stands in for Telnyx on this machine. Break it, and watch the call." }),
      el(
        "fieldset",
        { class: "weather" },
        el("legend", { text: "Telnyx is" }),
        WEATHER.map((one) => this.#choice(one)),
      ),
      el("h3", { text: "Calls to Telnyx" }),
      this.#counts,
      el("h3", { text: "Bring in" }),
      this.#people,
    );
  }

  async refresh() {
    const made = this.#made;
    try {
      const [counts, weather] = await Promise.all([this.#sandbox.counts(), this.#sandbox.weather()]);
      this.#show(counts);
      // Somebody has chosen meanwhile: what was asked before that is out of date, and would undo it on the page.
      if (this.#choosing || made !== this.#made) return;
      const chosen = this.#choices.get("keyless").checked && weather.name === "fine" ? "keyless" : weather.name;
      this.#choices.get(chosen).checked = true;
      this.#note(chosen);
    } catch {
      this.#show({});
    }
  }

  #choice(one) {
    const radio = el("input", { type: "radio", name: "weather", value: one.name, checked: one.name === "fine" });
    radio.addEventListener("change", async () => {
      this.#choosing += 1;
      try {
        await this.#sandbox.choose(one);
        this.#note(one.name);
        announce(`Telnyx: ${one.title}`);
      } catch (problem) {
        toast(problem);
      } finally {
        this.#choosing -= 1;
        this.#made += 1;
      }
    });
    this.#choices.set(one.name, radio);
    return el(
      "label",
      { class: "choice" },
      radio,
      el("span", {}, el("strong", { text: one.title }), el("span", { class: "sub", text: one.hint })),
    );
  }

  /** Begin or end the span that the picture of lives shows. */
  #note(name) {
    const last = this.#outages.at(-1);
    if (name !== "fine" && (!last || last.until !== null)) this.#outages.push({ from: performance.now(), until: null });
    else if (name === "fine" && last && last.until === null) last.until = performance.now();
  }

  #show(counts) {
    const { generate_join_client_token: made = 0, refresh_client_token: renewed = 0 } = counts;
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    tell(this.#counts, [
      ["New tokens", made],
      ["Renewals", renewed],
      ["All others", all - made - renewed],
    ]);
    this.showExtras();
  }

  showExtras() {
    const ready = this.#extras.ready();
    const others = this.#extras.users.map((one) => ({ key: one.user, name: one.name ?? one.user, user: one.user }));
    const intruders = [
      { key: "stranger", name: "Somebody without a ticket" },
      { key: "copy", name: "Somebody with your ticket" },
    ];
    keyed(
      this.#people,
      [...others, ...intruders],
      (one) => one.key,
      (one) =>
        button(one.name, () => (one.user ? this.#extras.toggle(one.user) : this.#extras.intrude(one.key)), {
          class: "quiet chip",
        }),
      (node, one) => {
        if (one.user) set(node, "aria-pressed", String(this.#extras.among(one.user)));
        set(node, "disabled", one.user ? this.#extras.alias() === null : !ready);
      },
    );
  }
}
