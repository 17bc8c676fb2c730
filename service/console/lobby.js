/* The rooms that somebody may enter, now or later, and why not now. */

import { room } from "./api.js";
import { button, el, keyed, say, set } from "./dom.js";
import { sending } from "./dialogs.js";
import { moment, title } from "./words.js";

export class Lobby {
  #api;
  #choose;
  #calls;
  #list = el("ul", { class: "rooms" });
  #note = el("p", { class: "note", text: "Asking for your rooms." });
  #entries = [];
  #current = null;
  #extra = new Map();

  /** `choose(entry)` opens a room; `calls` are the running ones by alias. */
  constructor(api, calls, choose) {
    this.#api = api;
    this.#calls = calls;
    this.#choose = choose;
    const alias = el("input", {
      id: "alias",
      required: true,
      pattern: "[a-z0-9][a-z0-9\\-]*",
      maxlength: 63,
      placeholder: "consult-17",
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      class: "mono",
    });
    const form = el("form", { class: "joined" }, alias, el("button", { type: "submit", text: "Ask" }));
    sending(form, async () => this.#choose(await this.entry(alias.value.trim())));
    this.node = el(
      "section",
      { class: "card lobby", "aria-labelledby": "rooms-title" },
      el("h2", { id: "rooms-title", tabindex: -1, text: "Your rooms" }),
      this.#note,
      this.#list,
      el("div", { class: "field other" }, el("label", { for: "alias", text: "Another room" }), form),
    );
  }

  /** Ask for the list; answers it. */
  async refresh() {
    try {
      const { items: entries, more } = await this.#api.all("/v1/rooms");
      const known = new Set(entries.map((entry) => entry.alias));
      const others = await Promise.all(
        [...this.#extra.keys()]
          .filter((alias) => !known.has(alias))
          .map((alias) => this.#api.get(room(alias)).catch(() => this.#extra.get(alias))),
      );
      const all = [...entries, ...others];
      this.show(all);
      say(this.#note, extent(entries.length, all.length, more));
      return all;
    } catch (problem) {
      say(this.#note, `${title(problem.code)}.`);
      return null;
    }
  }

  /** Show which room is open. */
  mark(alias) {
    this.#current = alias;
    this.show(this.#entries);
  }

  show(entries) {
    this.#entries = entries;
    keyed(
      this.#list,
      entries,
      (entry) => entry.alias,
      (entry) => this.#row(entry),
      (node, entry) => {
        const row = node.firstElementChild;
        node.entry = entry;
        set(row, "aria-current", entry.alias === this.#current ? "true" : null);
        set(row, "data-call", this.#calls.get(entry.alias)?.state === "in");
        const [state, words] = this.#state(entry);
        const mark = row.querySelector(".mark");
        set(mark, "class", `mark ${state}`);
        say(mark, words);
      },
    );
  }

  #row(entry) {
    const node = el("li");
    const row = button("", () => this.#choose(node.entry), { class: "room" });
    row.append(
      el("strong", { text: entry.title ?? entry.alias }),
      el("span", { class: "mark" }),
      el("span", { class: "sub" }, el("code", { text: entry.alias }), entry.role ? ` · ${entry.role}` : ""),
    );
    node.append(row);
    return node;
  }

  #state(entry) {
    if (this.#calls.get(entry.alias)?.state === "in") return ["proven", "in call"];
    if (entry.open) return ["open", "open"];
    if (entry.code === "waiting_for_admission") return ["later", "waits"];
    return entry.code === "not_open_yet" ? ["later", "later"] : ["refused", title(entry.code ?? "closed")];
  }

  /** The room of that alias, asked for if it is not in the list. */
  async entry(alias) {
    const listed = this.#entries.find((one) => one.alias === alias);
    if (listed) return listed;
    const entry = await this.#api.get(room(alias));
    this.#extra.set(alias, entry);
    return entry;
  }
}

/** What the list leaves out, as a sentence; empty where it is whole. */
function extent(listed, shown, more) {
  if (more) return `The first ${listed} are listed; any other is opened by its alias.`;
  return shown ? "" : "There is no room that you may enter.";
}

/** Why somebody may not enter just now, as a sentence; empty where they may. */
export function refusal(entry) {
  if (entry.open) return "";
  return entry.opens_at ? `Opens ${moment(entry.opens_at)}` : title(entry.code ?? "closed");
}
