/* One room: whether one may enter, the call with its ring, what the service answered, and the meeting for moderators. */

import { announce, button, el, keyed, say, set, tell } from "./dom.js";
import { invite } from "./invites.js";
import { Lives } from "./lives.js";
import { refusal } from "./lobby.js";
import { People } from "./people.js";
import { Ring } from "./ring.js";
import { SOURCES, clock, hint, hour, title } from "./words.js";

const SHOWN = 30;
const WAITS = "waiting_for_admission";
const CALM = new Set(["left", "no_role"]);

export class RoomView {
  #entry;
  #call = null;
  #desk;
  #ring = new Ring();
  #lives = new Lives();
  #people = null;
  #state = el("span", { class: "mark" });
  #why = el("div", { class: "why", hidden: true }, el("strong"), el("span"));
  #source = el("p", { class: "source" }, el("span", { class: "mark" }), el("span"));
  #facts = el("dl", { class: "facts" });
  #go;
  #again;
  #copy;
  #log = el("ol", { class: "log", tabindex: 0, "aria-label": "Answers of the service, the newest first" });
  #told = "";

  /** `desk` is what the room needs of the page: api, user, sandbox, `join(alias)`, `outages`, `mayModerate`. */
  constructor(entry, desk) {
    this.#desk = desk;
    this.#entry = entry;
    this.#go = button("Join", () => this.#press(), { class: "solid go" });
    this.#again = button("New token now", () => this.#call?.renew(), { class: "quiet" });
    this.#copy = button("Copy for the SDK", () => this.#handOver(), { class: "quiet" });
    this.node = el(
      "div",
      { class: "stack" },
      el("a", { class: "back", href: "#/", text: "All your rooms" }),
      el(
        "section",
        { class: "card call", "aria-labelledby": "room-title" },
        el(
          "div",
          { class: "head" },
          el(
            "div",
            {},
            el("h2", { id: "room-title", tabindex: -1, text: entry.title ?? entry.alias }),
            el(
              "p",
              { class: "sub" },
              el("code", { text: entry.alias }),
              entry.role ? ` · you are ${article(entry.role)}` : " · you are an administrator",
            ),
          ),
          this.#state,
        ),
        el(
          "div",
          { class: "now" },
          this.#ring.node,
          el(
            "div",
            { class: "beside" },
            this.#why,
            this.#source,
            this.#facts,
            el("div", { class: "tools" }, this.#go, this.#again, this.#copy),
          ),
        ),
        this.#lives.node,
        el(
          "details",
          { class: "answers", open: true },
          el("summary", { text: "What the service answered" }),
          this.#log,
        ),
      ),
    );
    if (desk.mayModerate(entry)) {
      this.#people = new People(desk.api, entry.alias, desk.user, desk.sandbox, () => invite(desk.api, entry.alias));
      this.node.append(this.#people.node);
    }
    this.follow(desk.calls.get(entry.alias) ?? null);
  }

  get alias() {
    return this.#entry.alias;
  }

  /** Show this call from now on. */
  follow(call) {
    this.#call = call;
    if (call) call.addEventListener("change", () => this.#call === call && this.#changed());
    this.#changed();
  }

  learn(entry) {
    this.#entry = entry;
    this.#paint();
  }

  async refreshPeople() {
    return this.#people === null || this.#people.refresh();
  }

  /** What changes with time alone. */
  tick() {
    this.#ring.show(this.#call);
    this.#lives.show(this.#call, this.#desk.outages);
  }

  async #press() {
    if (this.#call?.running) await this.#call.leave();
    else this.#desk.join(this.alias);
  }

  async #handOver() {
    const { token, context, room } = this.#call.grant;
    await navigator.clipboard.writeText(JSON.stringify({ roomId: room.id, clientToken: token, context }, null, 2));
    announce("Room, token and context are copied");
  }

  #changed() {
    const [last, before] = this.#call?.answers ?? [];
    if (last && this.#told !== String(last.at)) {
      this.#told = String(last.at);
      if (last.source === "issued" || last.source === "refreshed") this.#ring.pulse();
      const words = last.code ? `${title(last.code)}. ${hint(last.code)}` : `${SOURCES[last.source]}, ${clock(last.left)} left`;
      // Whoever waits asks every few seconds, and was told with the first answer.
      if (last.code !== WAITS || before?.code !== WAITS) announce(words);
    }
    if (this.#call?.state === "ended") announce(title(this.#call.reason));
    this.#paint();
    this.tick();
    this.#desk.changed();
  }

  #paint() {
    const call = this.#call;
    const state = call?.state ?? "idle";
    const inside = state === "in";
    set(this.node.querySelector(".call"), "data-state", state);
    const [mark, words] = badge(this.#entry, call);
    set(this.#state, "class", `mark ${mark}`);
    say(this.#state, words);
    this.#explain(call);
    say(this.#go, call?.running ? "Leave" : state === "ended" ? "Join again" : "Join");
    set(this.#go, "class", call?.running ? "quiet go" : "solid go");
    const knocks = this.#entry.open || this.#entry.code === WAITS;
    set(this.#go, "disabled", !call?.running && !knocks);
    set(this.#again, "hidden", !inside);
    set(this.#copy, "hidden", !inside || this.#desk.sandbox !== null);
    this.#showFacts(call);
    keyed(
      this.#log,
      (call?.answers ?? []).slice(0, SHOWN),
      (answer) => answer.at,
      line,
      () => null,
    );
    set(this.#log.parentElement, "hidden", !call);
    set(this.#lives.node, "hidden", !call);
  }

  #explain(call) {
    const code = call?.reason ?? (call ? null : this.#entry.code);
    set(this.#why, "hidden", !code);
    set(
      this.#why,
      "class",
      `why ${call?.running || isLater(code) ? "waiting" : CALM.has(code) ? "calm" : "over"}`,
    );
    if (!code) return;
    say(this.#why.firstElementChild, call ? title(code) : refusal(this.#entry));
    const joining = call?.state === "joining" && (code === WAITS ? `${call.detail}.` : "Asking again until it can.");
    say(this.#why.lastElementChild, joining || hint(code));
    set(this.#why, "data-code", code);
  }

  #showFacts(call) {
    const last = call?.answers.find((answer) => answer.source);
    set(this.#source, "hidden", !last || !call.running);
    if (last) {
      set(this.#source.firstElementChild, "class", `mark ${last.source}`);
      say(this.#source.firstElementChild, last.source);
      say(this.#source.lastElementChild, SOURCES[last.source]);
    }
    const grant = call?.running ? call.grant : null;
    const rows = grant
      ? [
          ["You are", `${grant.participant.name ?? grant.participant.user_id} · ${grant.participant.role}`],
          ["Life of a token", lifetime(call.lives.at(-1))],
          ["Tokens so far", call.lives.length],
          ["Places", grant.room.max_participants],
        ]
      : [];
    tell(this.#facts, rows);
  }
}

function lifetime(token) {
  return `${token.about ? "about " : ""}${clock(token.life / 1000)}`;
}

function isLater(code) {
  return code === "not_open_yet" || code === WAITS;
}

function article(role) {
  return role === "moderator" ? "a moderator" : `a ${role}`;
}

function badge(entry, call) {
  if (call?.state === "in") return ["proven", "in call"];
  if (call?.state === "joining") return ["later", call.reason === WAITS ? "waiting" : "joining"];
  const code = call?.state === "ended" && call.reason !== "left" ? call.reason : null;
  if (code) return ["refused", title(code)];
  if (entry.open || entry.role === undefined) return ["open", "open"];
  return [isLater(entry.code) ? "later" : "refused", title(entry.code ?? "closed")];
}

function line(answer) {
  const words = answer.code ? title(answer.code) : SOURCES[answer.source];
  const left = answer.left > 0 ? `; ${clock(answer.left)} left` : "";
  const next = answer.retry ? `, asks again in ${clock(answer.retry)}` : "";
  return el(
    "li",
    {},
    el("time", { text: hour(answer.at) }),
    el("span", { class: `mark ${answer.code ? "refused" : answer.source}`, text: answer.code ? "no token" : answer.source }),
    el("span", { class: "words", text: words + left + next }),
    el("span", { class: "took", text: `${Math.round(answer.took)} ms` }),
  );
}
