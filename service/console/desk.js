/* What somebody who is signed in has in front of them: rooms, the room chosen, the service's state and the sandbox. */

import { Api } from "./api.js";
import { Call } from "./call.js";
import { el, set } from "./dom.js";
import { toast } from "./dialogs.js";
import { Health } from "./health.js";
import { Lobby } from "./lobby.js";
import { RoomView } from "./room.js";
import { NoSeat, SdkSeat } from "./seats.js";

const LOOK_MS = { sandbox: 2000, real: 5000 };
const TICK_MS = 250;
// As in base.css: below that, the list and a room are two views.
const SIDE_BY_SIDE = "(min-width: 70rem)";

export class Desk {
  outages = [];
  calls = new Map();
  #me;
  #sdk;
  #room = null;
  #lobby;
  #health = new Health();
  #weather = null;
  #middle = el("div", { class: "middle" }, el("p", { class: "card note", text: "No room is chosen." }));
  #timers = [];
  #asking = false;
  #others = new Map();

  constructor(me, { sandbox, users, sdk }) {
    this.#me = me;
    this.#sdk = sdk;
    this.sandbox = sandbox;
    this.#lobby = new Lobby(me.api, this.calls, (entry) => this.choose(entry));
    const side = el("div", { class: "stack side" }, this.#health.node);
    if (sandbox) {
      this.#weather = sandbox.panel(this.outages, this.#bringIn(users));
      side.prepend(this.#weather.node);
    }
    this.node = el(
      "div",
      { class: "desk" },
      el("h1", { class: "unseen", text: "Meetings" }),
      this.#lobby.node,
      this.#middle,
      side,
    );
  }

  get user() {
    return this.#me.user;
  }

  get api() {
    return this.#me.api;
  }

  mayModerate(entry) {
    return entry.role === "moderator" || this.#me.admin;
  }

  /** Begin with the room of this alias, or with the first that is open where there is a place for it. */
  async start(alias) {
    this.#health.refresh();
    this.#weather?.refresh();
    const entries = await this.#lobby.refresh();
    const first = (entries ?? []).find((entry) => entry.open);
    if (alias) await this.open(alias);
    else if (first && matchMedia(SIDE_BY_SIDE).matches) this.#show(first);
    this.#timers = [
      setInterval(() => this.#room?.tick(), TICK_MS),
      setInterval(() => this.#look(), this.sandbox ? LOOK_MS.sandbox : LOOK_MS.real),
    ];
    await this.#look();
  }

  /** Leave everything. */
  async stop() {
    this.#timers.forEach(clearInterval);
    await Promise.all([...this.calls.values(), ...this.#others.values()].map((call) => call.leave()));
  }

  /** Show a room, at an address of its own. */
  choose(entry) {
    this.#show(entry);
    const address = `#/rooms/${entry.alias}`;
    if (location.hash !== address) history.pushState(null, "", address);
    this.#room.node.querySelector("h2").focus();
  }

  /** Show the room that an address names. */
  async open(alias) {
    if (alias === this.#room?.alias) return set(this.node, "data-room", alias);
    const entry = await this.#entry(alias);
    if (entry) this.choose(entry);
  }

  /** The room, also where only an administrator knows it; `null` where there is none. */
  async #entry(alias) {
    try {
      return await this.#lobby.entry(alias).catch(async (problem) => {
        if (!this.#me.admin) throw problem;
        return { ...(await this.api.get(`/v1/admin/rooms/${alias}`)), open: false, code: "no_role" };
      });
    } catch (problem) {
      toast(problem);
      return null;
    }
  }

  /** Show the list; where there is a place for both, the room beside it stays. */
  list() {
    set(this.node, "data-room", null);
    this.#lobby.node.querySelector("h2").focus();
  }

  #show(entry) {
    this.#room = new RoomView(entry, this);
    this.#middle.replaceChildren(this.#room.node);
    set(this.node, "data-room", entry.alias);
    this.#lobby.mark(entry.alias);
    this.#look();
  }

  join(alias) {
    const call = new Call(this.api, alias, this.#seat());
    this.calls.set(alias, call);
    this.#room.follow(call);
    return call.join();
  }

  /** Something about a call is different: lists that show it are too. */
  changed() {
    this.#weather?.showExtras();
    this.#look();
  }

  #seat() {
    if (this.sandbox) return this.sandbox.seat();
    return this.#sdk ? new SdkSeat() : new NoSeat();
  }

  /** Ask for everything that others may have changed, one question at a time. */
  async #look() {
    if (this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      const [entries] = await Promise.all([
        this.#lobby.refresh(),
        this.#health.refresh(),
        this.#weather?.refresh(),
        this.#room?.refreshPeople(),
      ]);
      const entry = entries?.find((one) => one.alias === this.#room?.alias);
      if (entry) this.#room.learn(entry);
    } finally {
      this.#asking = false;
    }
  }

  /** The others whom the sandbox's part of the page can bring into the room, as calls of their own. */
  #bringIn(users) {
    const key = (user) => `${this.#room?.alias} ${user}`;
    const among = (user) => this.#others.get(key(user))?.running ?? false;
    return {
      users: users.filter((one) => one.user !== this.#me.demo),
      alias: () => this.#room?.alias ?? null,
      ready: () => this.calls.get(this.#room?.alias)?.state === "in",
      among,
      toggle: async (user) => {
        const running = this.#others.get(key(user));
        if (running?.running) return running.leave();
        const call = new Call(new Api(await this.sandbox.bearer(user)), this.#room.alias, this.#seat());
        this.#others.set(key(user), call);
        call.addEventListener("change", () => this.changed());
        await call.join();
        if (call.state === "ended") toast({ code: call.reason });
      },
      intrude: async (kind) => {
        const { token, context } = this.calls.get(this.#room.alias).grant;
        await this.sandbox.join(token, kind === "copy" ? context : null).catch(toast);
        await this.#look();
      },
    };
  }
}
