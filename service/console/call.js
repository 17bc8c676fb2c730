/* A call: one token after the other, each before the one before it runs out. This is all that an app has to do.
 *
 * Ask; use the token; ask again after `refresh_after`. An answer that is `retryable` is asked for again while the token in
 * hand lives; any other refusal ends the call. Lives are counted on this page's own monotonic clock, in milliseconds.
 */

import { Problem, room } from "./api.js";

const LEAST_WAIT_MS = 1000;
const LOOK_EVERY_MS = 1000;
const KEPT = 60;

/** Dispatches `change` whenever something that can be seen has changed. */
export class Call extends EventTarget {
  state = "idle"; // joining, in, ended
  reason = null; // the code or reason that ended it, or that holds up joining
  detail = null; // the service's own words for it
  grant = null; // the last answer
  lives = []; // one for each token: {from, until, life, about}, milliseconds on this page's clock
  answers = []; // {at, source, code, left, took, retry}, the newest first
  askAt = null; // when the next question is due
  #api;
  #seat;
  #alarm = null;
  #watch = null;
  #sitting = false;

  constructor(api, alias, seat) {
    super();
    this.#api = api;
    this.alias = alias;
    this.#seat = seat;
  }

  /** Milliseconds that the token in hand still lives. */
  left(now = performance.now()) {
    return Math.max(0, (this.lives.at(-1)?.until ?? 0) - now);
  }

  get running() {
    return this.state === "joining" || this.state === "in";
  }

  /** Once: a call that has ended is over, and the next one is another. */
  async join() {
    if (this.state !== "idle") return;
    this.state = "joining";
    this.#changed();
    await this.#ask(false);
  }

  /** A new token now, though the one in hand has life left. */
  async renew() {
    if (this.state === "in") await this.#ask(true);
  }

  async leave() {
    await this.#end("left");
  }

  async #ask(force) {
    clearTimeout(this.#alarm);
    this.askAt = null;
    const asked = performance.now();
    let grant;
    try {
      grant = await this.#api.post(room(this.alias, force ? "/token/refresh" : "/token"));
    } catch (problem) {
      if (this.running) await this.#refused(problem, performance.now() - asked);
      return;
    }
    if (this.running) await this.#granted(grant, performance.now() - asked);
  }

  async #granted(grant, took) {
    const now = performance.now();
    const known = this.grant?.token === grant.token;
    Object.assign(this, { grant, reason: null });
    if (!known) {
      const life = lifeOf(grant) * 1000;
      const until = now + grant.expires_in * 1000;
      const about = !isNew(grant);
      this.lives = [...this.lives, { from: until - life, until, life, about, given: now }].slice(-KEPT);
    }
    this.#remember({ source: grant.source, left: grant.expires_in, retry: grant.refresh_after, took });
    this.#askIn(grant.refresh_after * 1000);
    try {
      if (this.state === "in" && !known) await this.#seat.renew(grant);
      else if (this.state === "joining" && !this.#sitting) await this.#sit(grant);
    } catch (problem) {
      await this.#end(problem.code ?? "seat_lost");
    }
    this.#changed();
  }

  async #sit(grant) {
    this.#sitting = true;
    await this.#seat.take(grant);
    if (this.state !== "joining") {
      await this.#seat.leave();
      return;
    }
    this.state = "in";
    if (this.grant.token !== grant.token) await this.#seat.renew(this.grant);
    this.#watch = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  async #refused(problem, took) {
    const known = problem instanceof Problem ? problem : new Problem({ code: "unexpected" });
    const given = (known.retryAfter ?? 2) * 1000;
    // While in a call the next try comes before the token ends, however far off it was told to be.
    const wait = this.state === "in" ? Math.min(given, this.left() / 2) : given;
    const retry = known.retryable ? Math.max(LEAST_WAIT_MS, wait) : null;
    this.#remember({ code: known.code, left: this.left() / 1000, retry: retry && retry / 1000, took });
    if (retry === null) return this.#end(known.code);
    if (this.state === "in" && this.left() === 0) return this.#end("token_expired");
    Object.assign(this, { reason: known.code, detail: known.message });
    this.#askIn(retry);
    this.#changed();
  }

  #askIn(wait) {
    clearTimeout(this.#alarm);
    this.askAt = performance.now() + wait;
    this.#alarm = setTimeout(() => this.#ask(false), wait);
  }

  /** Whether the seat is still ours; who was put out asks why. */
  async #look() {
    const gone = await this.#seat.look().catch(() => null);
    if (gone === null || this.state !== "in") return;
    await this.#end(await this.#why(gone));
  }

  async #why(gone) {
    if (gone !== "kicked" && gone !== "session_ended") return gone;
    try {
      const { code } = await this.#api.get(room(this.alias));
      // Whoever may knock again was put out for no reason of their own.
      return code && code !== "waiting_for_admission" ? code : gone;
    } catch (problem) {
      return problem.status === 404 ? problem.code : gone;
    }
  }

  async #end(reason) {
    if (!this.running) return;
    clearTimeout(this.#alarm);
    clearInterval(this.#watch);
    Object.assign(this, { state: "ended", reason, askAt: null });
    this.#changed();
    await this.#seat.leave();
  }

  #remember(answer) {
    this.answers = [{ at: performance.now(), ...answer }, ...this.answers].slice(0, KEPT);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function isNew(grant) {
  return grant.source === "issued" || grant.source === "refreshed";
}

/** The whole life of a token, in seconds: what is left of a new one; of an older one an estimate, from the rule that
 * it is due for renewal when between 40 % and 50 % of it are left. */
function lifeOf(grant) {
  if (isNew(grant)) return grant.expires_in;
  return Math.max(grant.expires_in, ((grant.expires_in - grant.refresh_after) * 2) / 0.9);
}
