/* Who is in a room, and what a moderator may do about it. */

import { room } from "./api.js";
import { announce, avatar, button, el, keyed, named, say, set } from "./dom.js";
import { confirmed, toast } from "./dialogs.js";
import { Waiting } from "./waiting.js";
import { hour, moment, title } from "./words.js";

const VERIFICATIONS = {
  proven: ["proven", "A ticket signed by the service says who this is"],
  unproven: ["unproven", "Shows no ticket, so that nobody knows who this is"],
  impostor: ["impostor", "Not who their context says, or without a ticket where one is required"],
};
const REASONS = {
  no_ticket: "shows no ticket",
  forged: "shows a forged ticket",
  another_room: "shows another room's ticket",
  not_at_joining: "shows an old ticket",
  already_shown: "shows somebody else's ticket",
};

export class People {
  #api;
  #alias;
  #me;
  #sandbox;
  #list = el("ul", { class: "people" });
  #bans = el("ul", { class: "bans" });
  #kept = el("section", { class: "kept", hidden: true }, el("h4", { text: "Kept out" }), this.#bans);
  #note = el("p", { class: "note", text: "Asking who is in." });
  #count = el("span", { class: "count" });
  #waiting;
  #muted = new Set();
  #seen = null;

  /** `me` is the user id of whoever looks. */
  constructor(api, alias, me, sandbox, invite) {
    this.#api = api;
    this.#alias = alias;
    this.#me = me;
    this.#sandbox = sandbox;
    this.#waiting = new Waiting(api, alias, (action, whom, done) => this.#act(action, whom, done));
    this.node = el(
      "section",
      { class: "card", "aria-labelledby": "people-title" },
      el(
        "div",
        { class: "head" },
        el("h3", { id: "people-title" }, "In the room ", this.#count),
        el(
          "div",
          { class: "tools" },
          button("Invite", invite, { class: "quiet" }),
          button("Mute all", () => this.#act("mute", { all: true }, "Everybody is muted"), { class: "quiet" }),
          button("End meeting", () => this.#endAll(), { class: "quiet danger" }),
        ),
      ),
      this.#waiting.node,
      this.#note,
      this.#list,
      this.#kept,
    );
  }

  /** Ask who is in and who is kept out; answers whether that could be told. */
  async refresh() {
    try {
      const [present, bans] = await Promise.all([
        this.#api.get(room(this.#alias, "/participants")),
        this.#api.all(room(this.#alias, "/bans")),
        this.#waiting.refresh(),
      ]);
      await this.#learnMutes();
      this.#seen = performance.now();
      this.#show(present.data, bans.items);
      return true;
    } catch (problem) {
      const then = this.#seen === null ? "" : `: this is who was in at ${hour(this.#seen)}`;
      say(this.#note, `${title(problem.code)}${then}.`);
      return false;
    }
  }

  /** Telnyx tells nobody who is muted; the sandbox does. */
  async #learnMutes() {
    if (!this.#sandbox) return;
    const all = await this.#sandbox.participants().catch(() => []);
    this.#muted = new Set(all.filter((one) => one.muted).map((one) => one.id));
  }

  #show(present, bans) {
    say(this.#count, String(present.length));
    say(this.#note, present.length ? "" : "Nobody is in just now.");
    keyed(
      this.#list,
      present,
      (one) => one.participant_id,
      (one) => this.#person(one),
      (node, one) => this.#paint(node, one),
    );
    set(this.#kept, "hidden", !bans.length);
    keyed(
      this.#bans,
      bans,
      (ban) => ban.user,
      (ban) => this.#ban(ban),
      () => null,
    );
  }

  #person(one) {
    const name = one.name ?? one.user_id ?? "Somebody";
    const own = one.user_id !== null && one.user_id === this.#me && one.verification === "proven";
    const ids = one.user_id ? { users: [one.user_id] } : { participants: [one.participant_id] };
    const mute = button(
      "Mute",
      () => {
        const silent = this.#muted.has(one.participant_id);
        return this.#act(silent ? "unmute" : "mute", ids, `${name} is ${silent ? "unmuted" : "muted"}`);
      },
      { class: "quiet mute" },
    );
    return el(
      "li",
      { class: "person" },
      avatar(name),
      named(own ? `${name} (you)` : name, [one.user_id, one.role].filter(Boolean).join(" · ")),
      el("span", { class: `mark ${one.verification}`, title: VERIFICATIONS[one.verification][1], text: this.#verification(one) }),
      el(
        "div",
        { class: "tools" },
        mute,
        own
          ? null
          : button("Remove", () => this.#remove(name, ids), { class: "quiet danger", "aria-label": `Remove ${name}` }),
      ),
    );
  }

  #verification(one) {
    const [name] = VERIFICATIONS[one.verification];
    return one.reason ? `${name}: ${REASONS[one.reason] ?? one.reason.replaceAll("_", " ")}` : name;
  }

  #paint(node, one) {
    const silent = this.#muted.has(one.participant_id);
    const name = one.name ?? one.user_id ?? "Somebody";
    const mute = node.querySelector(".mute");
    set(node, "data-muted", silent);
    say(mute, silent ? "Unmute" : "Mute");
    set(mute, "aria-label", `${silent ? "Unmute" : "Mute"} ${name}`);
  }

  #ban(ban) {
    const until = ban.until ? `until ${moment(ban.until)}` : "for good";
    return el(
      "li",
      {},
      el("span", {}, el("strong", { text: ban.user }), el("span", { class: "sub", text: ` ${until}` })),
      button(
        "Let in again",
        async () => {
          await this.#do(
            () => this.#api.delete(room(this.#alias, `/bans/${encodeURIComponent(ban.user)}`)),
            `${ban.user} may enter again`,
          );
        },
        { class: "quiet", "aria-label": `Let ${ban.user} in again` },
      ),
    );
  }

  async #remove(name, whom) {
    const text = "They are out at once, and stay out until a moderator lets them in again.";
    if (await confirmed(`Remove ${name}?`, text, "Remove")) await this.#act("kick", whom, `${name} is removed`);
  }

  async #endAll() {
    if (!(await confirmed("End the meeting?", "Everybody is put out now; all may join again.", "End it"))) return;
    await this.#do(() => this.#api.post(room(this.#alias, "/actions/end")), "The meeting has ended");
  }

  #act(action, whom, done) {
    return this.#do(() => this.#api.post(room(this.#alias, `/actions/${action}`), whom), done);
  }

  async #do(work, done) {
    try {
      const answer = await work();
      announce(answer?.code ? `${done}; the call ends by ${moment(answer.removal_deadline)}` : done);
    } catch (problem) {
      toast(problem);
    }
    await this.refresh();
  }
}
