/**
 * Keeps a token alive: asks for the first one, renews it, and tells the app (BEHAVIOUR.md, sections 3 to 9).
 *
 * Rules for editors: one request at a time; whatever comes instead of a token, go on trying while the token lives; nothing
 * is told after `stop()`.
 */

import { Clock, browser } from "./clock.js";
import { ProblemError, isFinal, reaction, refusesBearer, retryAfter } from "./problems.js";
import { bearerUnavailable, networkError, send, staleToken, tokenRequest } from "./request.js";

/** @import { Surroundings } from "./clock.js" */
/** @import { Problem, Reaction } from "./problems.js" */
/** @import { TokenAnswer } from "./request.js" */

/**
 * Returns the user's bearer from your identity provider. `forceRefresh`: the last one was refused, so get a new one.
 * `signal` is aborted when the keeper no longer waits for it.
 * @typedef {(asked: {forceRefresh: boolean, signal: AbortSignal}) => string | Promise<string>} GetBearer
 */

/**
 * @typedef {object} TokenKeeperOptions
 * @property {string} service The service's URL, with or without a path.
 * @property {string} room The room's alias.
 * @property {GetBearer} getBearer
 * @property {string} [deviceId] Keeps the tokens of one user's devices apart.
 * @property {string} [displayName] Used where the bearer names nobody.
 * @property {number} [patienceSeconds] How long to try for the first token, without the time for which the user waits for
 *   a moderator; 30 by default.
 * @property {typeof globalThis.fetch} [fetch] Used in place of the global one.
 * @property {AbortSignal} [signal] Stops the keeper.
 */

/**
 * An attempt that brought no token, while the keeper goes on. With the reaction `wait` nothing has failed: the user waits
 * for a moderator.
 * @typedef {object} Trouble
 * @property {Problem} problem
 * @property {Reaction} reaction
 * @property {number} failures In a row, this one included; 0 while the user waits for a moderator.
 * @property {number} expiresIn Seconds that the token still lives, 0 where there is none.
 * @property {number} retryIn Seconds until the next try.
 */

/**
 * The keeper has ended by itself: the service refused this user, the token is over, or there was none in time.
 * @typedef {object} Ended
 * @property {"refused" | "expired" | "unavailable"} reason
 * @property {Problem} problem The last one.
 * @property {Reaction} reaction
 */

/** @typedef {{token: TokenAnswer, trouble: Trouble, ended: Ended}} TokenKeeperEvents */

const CALL_SECONDS = 10;
const DEFAULT_PATIENCE_SECONDS = 30;
const MAX_BACKOFF_SECONDS = 15;
const MIN_SECONDS_BETWEEN_TRIES = 1;

/** Why there is no first token. */
export class TokenError extends Error {
  /** @param {Ended} ended */
  constructor({ reason, problem, reaction }) {
    super(problem.title);
    this.name = "TokenError";
    this.reason = reason;
    this.problem = problem;
    this.reaction = reaction;
  }
}

/** Has one life: for another call, make another one. */
export class TokenKeeper {
  #options;
  #request;
  #surroundings;
  #clock;
  #stop = new AbortController();
  /** @type {{[E in keyof TokenKeeperEvents]: Set<(told: TokenKeeperEvents[E]) => void>}} */
  #listeners = { token: new Set(), trouble: new Set(), ended: new Set() };
  /** @type {Promise<TokenAnswer> | null} */
  #first = null;
  /** @type {TokenAnswer | null} */
  #current = null;
  /** When the token in hand ends, by both clocks: elapsed for the app to know, awake for giving up. */
  #ends = { elapsed: 0, awake: 0 };
  #failures = 0;
  #dropped = false;
  /** Bearers that were refused, the second one after a forced refresh. @type {string[]} */
  #refused = [];

  /**
   * @param {TokenKeeperOptions} options
   * @param {Surroundings} [surroundings] For tests.
   */
  constructor(options, surroundings = browser()) {
    this.#options = options;
    this.#request = tokenRequest(options);
    this.#surroundings = surroundings;
    this.#clock = new Clock(surroundings);
  }

  /** The last answer of the service, `null` before the first. */
  get current() {
    return this.#current;
  }

  /**
   * Listens to `token`, `trouble` or `ended`; returns what ends the listening.
   * @template {keyof TokenKeeperEvents} E
   * @param {E} event
   * @param {(told: TokenKeeperEvents[E]) => void} listener
   * @returns {() => void}
   */
  on(event, listener) {
    this.#listeners[event].add(listener);
    return () => void this.#listeners[event].delete(listener);
  }

  /**
   * Begins, and resolves with the first token. Rejects with `TokenError`, or after `stop()` with its reason. Another call
   * returns the same promise.
   * @returns {Promise<TokenAnswer>}
   */
  start() {
    this.#first ??= this.#begin();
    return this.#first;
  }

  /** Nothing is asked or told any more. */
  stop() {
    this.#stop.abort();
  }

  /**
   * The call is over, and nobody knows why: asks once more, now. A refusal is told as `ended`, and nothing else any more;
   * the keeper ends either way.
   */
  dropped() {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#clock.hurry();
  }

  /** Looks at the clock again, for signals of which only the app knows. */
  wake() {
    this.#clock.wake();
  }

  #begin() {
    const { signal } = this.#options;
    const silence = this.#surroundings.listen(() => this.wake());
    const abort = () => this.#stop.abort(signal?.reason);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    /** @type {Promise<TokenAnswer>} */
    const first = new Promise((resolve, reject) => {
      this.#keep(resolve)
        .then((ended) => {
          this.#tell("ended", ended);
          reject(new TokenError(ended));
        }, reject)
        .finally(() => {
          silence();
          signal?.removeEventListener("abort", abort);
        });
    });
    // An app that only listens to events has nobody to catch this.
    first.catch(() => {});
    return first;
  }

  /**
   * Asks again and again, and answers how it ended. Throws only after `stop()`.
   * @param {(answer: TokenAnswer) => void} onFirst
   * @returns {Promise<Ended>}
   */
  async #keep(onFirst) {
    this.#ends.awake = this.#clock.awake() + this.#patience();
    for (;;) {
      const last = this.#dropped;
      try {
        const answer = await this.#attempt();
        onFirst(answer);
        if (last) this.stop();
        await this.#clock.wait(answer.refresh_after, this.#stop.signal);
      } catch (error) {
        if (last && !(error instanceof ProblemError && isFinal(error.problem))) this.stop();
        this.#stop.signal.throwIfAborted();
        if (!(error instanceof ProblemError)) throw error;
        const ended = await this.#failed(error.problem);
        if (ended) return ended;
      }
    }
  }

  /**
   * One attempt, with one forced refresh of the bearer. Throws `ProblemError`.
   * @returns {Promise<TokenAnswer>}
   */
  async #attempt() {
    this.#clock.settle();
    const bearer = await this.#bearer(false);
    try {
      return await this.#ask(bearer);
    } catch (error) {
      if (!isRefusal(error) || this.#refused.includes(bearer)) throw error;
    }
    const renewed = await this.#bearer(true);
    try {
      return await this.#ask(renewed);
    } catch (error) {
      if (isRefusal(error)) this.#refused = [bearer, renewed];
      throw error;
    }
  }

  /** @param {boolean} forceRefresh */
  #bearer(forceRefresh) {
    return this.#within(async (signal) => {
      try {
        return await this.#options.getBearer({ forceRefresh, signal });
      } catch (error) {
        throw new ProblemError(bearerUnavailable(error));
      }
    }, bearerUnavailable("No bearer in time"));
  }

  /**
   * @param {string} bearer
   * @returns {Promise<TokenAnswer>}
   */
  async #ask(bearer) {
    // A token's life counts from before the request: the answer may have been long on its way.
    const sent = { elapsed: this.#clock.elapsed(), awake: this.#clock.awake() };
    const late = networkError("No answer in time");
    const answer = await this.#within((signal) => send(this.#request, bearer, signal), late);
    const life = answer.expires_in;
    this.#ends = { elapsed: sent.elapsed + life, awake: sent.awake + life };
    this.#current = answer;
    this.#refused = [];
    const stale = answer.source === "stale";
    this.#failures = stale ? this.#failures + 1 : 0;
    this.#tell("token", answer);
    if (stale) this.#tellTrouble(staleToken(answer.refresh_after), answer.refresh_after);
    return answer;
  }

  /**
   * What comes of `work`, or the problem `late` after 10 seconds.
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} work
   * @param {Problem} late
   * @returns {Promise<T>}
   */
  async #within(work, late) {
    this.#stop.signal.throwIfAborted();
    const cut = new AbortController();
    const abort = () => cut.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener("abort", abort);
    try {
      const deadline = this.#clock.wait(CALL_SECONDS, cut.signal).then(() => {
        throw new ProblemError(late);
      });
      return await Promise.race([deadline, work(cut.signal)]);
    } finally {
      this.#stop.signal.removeEventListener("abort", abort);
      cut.abort();
    }
  }

  /**
   * Waits for the next try, or answers how the keeper has ended.
   * @param {Problem} problem
   * @returns {Promise<Ended | null>}
   */
  async #failed(problem) {
    const lives = this.#current !== null;
    const kind = reaction(problem);
    const waits = kind === "wait";
    if (isFinal(problem) || (!lives && kind !== "retry" && !waits)) return { reason: "refused", problem, reaction: kind };
    this.#failures = waits ? 0 : this.#failures + 1;
    const told = retryAfter(problem);
    const pause = waits ? Math.max(told, MIN_SECONDS_BETWEEN_TRIES) : told + this.#backoff();
    if (waits && !lives) this.#ends.awake = this.#clock.awake() + pause + this.#patience();
    const until = this.#ends.awake;
    /** @type {Ended} */
    const over = { reason: lives ? "expired" : "unavailable", problem, reaction: kind };
    if (!lives && this.#clock.awake() + pause >= until) return over;
    if (this.#clock.awake() < until) {
      this.#tellTrouble(problem, pause);
      const earliest = Math.max(told, MIN_SECONDS_BETWEEN_TRIES);
      await this.#clock.wait(pause, this.#stop.signal, { earliest, until });
    }
    return this.#clock.awake() >= until ? over : null;
  }

  #patience() {
    return this.#options.patienceSeconds ?? DEFAULT_PATIENCE_SECONDS;
  }

  #backoff() {
    const most = Math.min(2 ** (this.#failures - 1), MAX_BACKOFF_SECONDS);
    return (most / 2) * (1 + this.#surroundings.random());
  }

  /**
   * @param {Problem} problem
   * @param {number} retryIn
   */
  #tellTrouble(problem, retryIn) {
    const left = this.#current ? Math.max(0, this.#ends.elapsed - this.#clock.elapsed()) : 0;
    const kind = reaction(problem);
    this.#tell("trouble", { problem, reaction: kind, failures: this.#failures, expiresIn: left, retryIn });
  }

  /**
   * @template {keyof TokenKeeperEvents} E
   * @param {E} event
   * @param {TokenKeeperEvents[E]} told
   */
  #tell(event, told) {
    if (this.#dropped && event !== "ended") return;
    for (const listener of this.#listeners[event]) {
      if (this.#stop.signal.aborted) return;
      try {
        listener(told);
      } catch (error) {
        // The app's fault is the app's to see, and must not end the call.
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}

/** @param {unknown} error */
const isRefusal = (error) => error instanceof ProblemError && refusesBearer(error.problem);
