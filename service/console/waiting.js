/* Who waits at a room's door, and a moderator's yes or no to them. */

import { room } from "./api.js";
import { confirmed } from "./dialogs.js";
import { announce, button, el, keyed, named, say, set } from "./dom.js";

export class Waiting {
  #api;
  #alias;
  #act;
  #list = el("ul", { class: "bans" });
  #count = el("span", { class: "count" });

  /** `act(action, whom, done)` makes a moderator's call and says `done`. */
  constructor(api, alias, act) {
    this.#api = api;
    this.#alias = alias;
    this.#act = act;
    const everybody = { all: true };
    this.node = el(
      "section",
      { class: "kept waiting", "aria-label": "Waiting to be let in", hidden: true },
      el(
        "div",
        { class: "head" },
        el("h4", {}, "Waiting to be let in ", this.#count),
        el(
          "div",
          { class: "tools" },
          button("Admit all", () => act("admit", everybody, "All who waited are admitted"), { class: "quiet" }),
          button("Refuse all", () => this.#refuse("all who wait", everybody), { class: "quiet danger" }),
        ),
      ),
      this.#list,
    );
  }

  /** Ask who waits. */
  async refresh() {
    const { items, more } = await this.#api.all(room(this.#alias, "/waiting"));
    set(this.node, "hidden", !items.length);
    say(this.#count, more ? `${items.length} and more` : String(items.length));
    keyed(
      this.#list,
      items,
      (one) => `${one.user} ${one.since}`,
      (one) => this.#person(one),
      () => null,
    );
  }

  #person(one) {
    const name = one.name ?? one.user;
    announce(`${name} waits to be let in`);
    const whom = { users: [one.user] };
    const admit = () => this.#act("admit", whom, `${name} is admitted`);
    return el(
      "li",
      {},
      named(name, one.guest ? `${one.user} · guest` : one.user),
      el(
        "div",
        { class: "tools" },
        button("Admit", admit, { class: "quiet", "aria-label": `Admit ${name}` }),
        button("Refuse", () => this.#refuse(name, whom), { class: "quiet danger", "aria-label": `Refuse ${name}` }),
      ),
    );
  }

  async #refuse(name, whom) {
    const text = "They are told so, and do not get in before this meeting is over.";
    if (await confirmed(`Refuse ${name}?`, text, "Refuse")) await this.#act("refuse", whom, `Refused: ${name}`);
  }
}
