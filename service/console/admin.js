/* What administrators do: rooms, members, recordings. */

import { announce, button, el, keyed, named, say, set } from "./dom.js";
import { confirmed, roleChoice, sending, toast } from "./dialogs.js";
import { changedRoom, newRoom } from "./room_form.js";
import { moment, title } from "./words.js";

const ROOMS = "/v1/admin/rooms";
const PLAIN = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
const ELSEWHERE = { target: "_blank", rel: "noopener noreferrer" };
export class Admin {
  #api;
  #words = "";
  #turn = 0;
  #rows = el("tbody");
  #note = el("p", { class: "note", text: "Asking for the rooms." });
  #detail = el("div", { class: "stack" });
  #chosen = null;
  // What was made here stays in sight, however many rooms there are.
  #kept = new Set();

  constructor(api) {
    this.#api = api;
    const heads = ["Room", "Who may enter", "Tokens", "Places"].map((text) => el("th", { scope: "col", text }));
    heads.push(el("th", { scope: "col" }, el("span", { class: "unseen", text: "Do" })));
    this.node = el(
      "div",
      { class: "stack wide" },
      el("h1", { class: "unseen", text: "Administration" }),
      el(
        "section",
        { class: "card", "aria-labelledby": "admin-title" },
        el(
          "div",
          { class: "head" },
          el("h2", { id: "admin-title", tabindex: -1, text: "All rooms" }),
          button("New room", () => this.#create(), { class: "solid" }),
        ),
        this.#finder(),
        this.#note,
        el("table", { class: "table" }, el("thead", {}, el("tr", {}, heads)), this.#rows),
      ),
      this.#detail,
    );
  }

  /** Show what an address names: all rooms, and of one of them its members or recordings. */
  async open(alias = null, part = null) {
    this.#chosen = alias;
    this.#detail.replaceChildren();
    set(this.node, "data-room", null);
    const show = { members: (record) => this.#members(record), recordings: (record) => this.#recordings(record) }[part];
    if (show) await this.#api.get(path(alias)).then(show).catch(toast);
    await this.refresh();
  }

  async refresh() {
    // A long list that was asked for before must not take the place of what was found since.
    const turn = (this.#turn += 1);
    try {
      const words = this.#words ? `?q=${encodeURIComponent(this.#words)}` : "";
      const { items, more } = await this.#api.all(ROOMS + words);
      const listed = new Set(items.map((record) => record.alias));
      const kept = await Promise.all([...this.#kept].filter((alias) => !listed.has(alias)).map(this.#again));
      if (turn !== this.#turn) return;
      say(this.#note, more ? `The first ${items.length} are listed.` : items.length ? "" : this.#nothing());
      keyed(
        this.#rows,
        [...(this.#words ? [] : kept.filter(Boolean)), ...items],
        (record) => `${record.alias} ${record.updated_at}`,
        (record) => this.#row(record),
        (node, record) => {
          set(node, "aria-current", record.alias === this.#chosen ? "true" : null);
        },
      );
    } catch (problem) {
      say(this.#note, `${title(problem.code)}.`);
    }
  }

  #nothing() {
    return this.#words ? "No room has these words in its alias or title." : "There is no room yet.";
  }

  /** The record of a room that is kept in sight, `null` once it is gone. */
  #again = async (alias) => {
    try {
      return await this.#api.get(path(alias));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      this.#kept.delete(alias);
      return null;
    }
  };

  #finder() {
    const words = el("input", { id: "find", type: "search", maxlength: 100, ...PLAIN });
    const form = el("form", { class: "joined", role: "search" }, words, el("button", { type: "submit", text: "Find" }));
    const look = async () => {
      this.#words = words.value.trim();
      await this.refresh();
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      await look();
      this.#rows.querySelector("button")?.focus();
    });
    // The cross of a search field empties it.
    words.addEventListener("search", () => words.value || look());
    const hint = el("small", { id: "find-hint", text: "Words of its alias or title" });
    set(words, "aria-describedby", hint.id);
    return el("div", { class: "field other" }, el("label", { for: "find", text: "Find a room" }), hint, form);
  }

  #row(record) {
    const template = record.alias.endsWith("-*");
    const act = (text, work, more = "") =>
      button(text, work, { class: `quiet ${more}`, "aria-label": `${text} ${more ? "" : "of "}${record.alias}` });
    const link = (text, view) =>
      el("a", { class: "button quiet", href: `#/${view}`, "aria-label": `${text} of ${record.alias}`, text });
    const cells = [
      el(
        "th",
        { scope: "row" },
        el("strong", { text: record.title ?? record.alias }),
        el("code", { text: record.alias }),
      ),
      cell("Who may enter", record.access.map(rule).join(", ") || "nobody"),
      cell("Tokens", record.token_ttl_secs ? `${record.token_ttl_secs} s` : "default"),
      cell("Places", String(record.max_participants)),
      el(
        "td",
        { class: "do" },
        act("Edit", () => this.#edit(record).catch(toast)),
        template ? null : link("Members", `administration/${record.alias}/members`),
        template ? null : link("Recordings", `administration/${record.alias}/recordings`),
        template ? null : link("Meeting", `rooms/${record.alias}`),
        act("Delete", () => this.#delete(record), "danger"),
      ),
    ];
    return el("tr", {}, cells);
  }

  async #create() {
    const made = await newRoom(async (alias, spec) => {
      try {
        await this.#api.put(path(alias), spec, { "If-None-Match": "*" });
      } catch (problem) {
        if (problem.status !== 412) throw problem;
        throw { ...problem, faults: [{ field: "/alias", message: "There is a room of that alias already." }] };
      }
    });
    if (made === null) return;
    this.#kept.add(made);
    announce(`${made} is there`);
    await this.refresh();
  }

  async #edit(record) {
    const { content, version } = await this.#api.versioned(path(record.alias));
    const work = (patch) => this.#api.patch(path(record.alias), patch, { "If-Match": version });
    if ((await changedRoom(content, work)) === null) return;
    announce(`${content.title ?? content.alias} is changed`);
    await this.refresh();
  }

  async #delete(record) {
    if (!(await confirmed(`Delete ${record.alias}?`, "It goes here and at Telnyx, with its members.", "Delete")))
      return;
    await this.#do(() => this.#api.delete(path(record.alias)), `${record.alias} is gone`);
    if (this.#chosen !== record.alias) return;
    history.replaceState(null, "", "#/administration");
    await this.open();
  }

  async #members(record) {
    const list = el("ul", { class: "people" });
    const user = el("input", { id: "member", required: true, maxlength: 290, placeholder: "user id", ...PLAIN });
    let most = 500;
    const rest = button(
      "Show more",
      async () => {
        most += 500;
        await show().catch(toast);
      },
      { class: "quiet" },
    );
    const role = roleChoice();
    role.id = "member-role";
    const form = el(
      "form",
      { class: "joined" },
      el("label", { class: "unseen", for: "member", text: "User id" }),
      user,
      el("label", { class: "unseen", for: "member-role", text: "Role" }),
      role,
      el("button", { type: "submit", text: "Add" }),
    );
    const at = (who) => `${path(record.alias)}/members/${encodeURIComponent(who)}`;
    const one = (member) =>
      el(
        "li",
        { class: "person" },
        named(member.name ?? member.user, `${member.user} · ${member.role}`),
        button(
          "Take out",
          async () => {
            const name = member.name ?? member.user;
            if (!(await confirmed(`Take ${name} out?`, "What the entry lets them do ends now.", "Take out"))) return;
            await this.#do(() => this.#api.delete(at(member.user)), `${name} is no member now`);
            await show();
          },
          { class: "quiet danger", "aria-label": `Take ${member.name ?? member.user} out` },
        ),
      );
    const show = async () => {
      const { items, more } = await this.#api.all(`${path(record.alias)}/members`, most);
      rest.hidden = !more;
      keyed(
        list,
        items,
        (member) => `${member.user} ${member.role}`,
        one,
        () => null,
      );
    };
    sending(form, async () => {
      const who = user.value.trim();
      await this.#api.put(at(who), { role: role.value });
      announce(`${who} is a member`);
      form.reset();
      await show();
    });
    await this.#show(`Members of ${record.alias}`, show, form, list, rest);
  }

  async #recordings(record) {
    const list = el("ul", { class: "people" });
    const note = el("p", { class: "note" });
    const show = async () => {
      const asked = new URLSearchParams({ "filter[room_id]": record.room_id, "page[size]": "50" });
      const { data } = await this.#api.get(`/v2/room_recordings?${asked}`);
      say(
        note,
        data.length ? "" : record.enable_recording ? "Nothing has been recorded yet." : "This room does not record.",
      );
      keyed(
        list,
        data,
        (one) => `${one.id} ${one.status}`,
        (one) => this.#recording(one, show),
        () => null,
      );
    };
    await this.#show(`Recordings of ${record.alias}`, show, note, list);
  }

  #recording(one, show) {
    const facts = [
      one.status,
      one.duration_secs && `${one.duration_secs} s`,
      one.size_mb && `${one.size_mb} MB`,
    ].filter(Boolean);
    return el(
      "li",
      { class: "person" },
      named(`${one.type ?? "Recording"}, ${moment(one.created_at)}`, facts.join(" · ")),
      one.download_url
        ? el("a", { class: "button quiet", href: one.download_url, ...ELSEWHERE, text: "Download" })
        : null,
      button(
        "Delete",
        async () => {
          if (!(await confirmed("Delete this recording?", "It cannot be brought back.", "Delete"))) return;
          await this.#do(() => this.#api.delete(`/v2/room_recordings/${one.id}`), "The recording is gone");
          await show();
        },
        { class: "quiet danger" },
      ),
    );
  }

  async #show(heading, fetching, ...content) {
    const head = el("h2", { id: "detail-title", tabindex: -1, text: heading });
    await fetching();
    this.#detail.replaceChildren(
      el("a", { class: "back", href: "#/administration", text: "All rooms" }),
      el("section", { class: "card", "aria-labelledby": "detail-title" }, head, ...content),
    );
    set(this.node, "data-room", true);
    head.focus();
  }

  async #do(work, done) {
    try {
      await work();
      announce(done);
    } catch (problem) {
      toast(problem);
    }
    await this.refresh();
  }
}

function path(alias) {
  return `${ROOMS}/${encodeURIComponent(alias).replace("*", "%2A")}`;
}

function cell(name, text) {
  return el("td", { "data-name": name, text });
}

function rule(one) {
  if (one.members) return "members";
  if (one.authenticated) return "everybody signed in";
  return `${one.claim} ${one.equals === undefined ? `contains ${one.contains}` : `is ${one.equals}`}`;
}
