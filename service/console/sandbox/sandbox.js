/* The control calls of the sandbox that `make run` starts. The image for production has neither it nor this folder. */

import { ask } from "./api.js";
import { WEATHER, Weather } from "./weather.js";

export class Sandbox {
  #base;

  constructor(origin) {
    this.#base = `${origin}/sandbox`;
  }

  /** A place in a meeting for a simulated participant. */
  seat() {
    return new SandboxSeat(this);
  }

  /** The part of the page that controls it; see `Weather`. */
  panel(outages, extras) {
    return new Weather(this, outages, extras);
  }

  async users() {
    return (await ask("GET", `${this.#base}/idp/users`)).data;
  }

  async bearer(user) {
    return (await ask("POST", `${this.#base}/idp/token`, { body: { user } })).token;
  }

  async join(token, context) {
    try {
      return await ask("POST", `${this.#base}/participants`, { body: context === null ? { token } : { token, context } });
    } catch (problem) {
      // As Telnyx would, it says so in a sentence; the code is that of the service.
      if (problem.message === "The room is full.") problem.code = "room_full";
      throw problem;
    }
  }

  renew(id, token) {
    return ask("PUT", `${this.#base}/participants/${id}/token`, { body: { token } });
  }

  look(id) {
    return ask("GET", `${this.#base}/participants/${id}`);
  }

  leave(id) {
    return ask("DELETE", `${this.#base}/participants/${id}`);
  }

  async participants() {
    return (await ask("GET", `${this.#base}/participants`)).data;
  }

  counts() {
    return ask("GET", `${this.#base}/requests/counts`);
  }

  /** Make Telnyx do one of `WEATHER`, and nothing else. */
  async choose(weather) {
    const { name, fault, ...facts } = weather;
    delete facts.title;
    delete facts.hint;
    await ask("DELETE", `${this.#base}/faults`);
    await ask("PUT", `${this.#base}/api-keys`, { body: { accepted: name === "keyless" ? [] : null } });
    if (fault) await ask("POST", `${this.#base}/faults`, { body: { operation: "*", fault, ...facts } });
  }

  /** Which of `WEATHER` it is, as far as faults tell. */
  async weather() {
    const [fault] = (await ask("GET", `${this.#base}/faults`)).data;
    return WEATHER.find((one) => one.fault !== undefined && one.fault === fault?.fault) ?? WEATHER[0];
  }
}

/** See `seats.js`. */
class SandboxSeat {
  #sandbox;
  #id = null;

  constructor(sandbox) {
    this.#sandbox = sandbox;
  }

  async take(grant) {
    this.#id = (await this.#sandbox.join(grant.token, grant.context)).id;
  }

  async renew(grant) {
    await this.#sandbox.renew(this.#id, grant.token);
  }

  async leave() {
    if (this.#id !== null) await this.#sandbox.leave(this.#id).catch(() => null);
    this.#id = null;
  }

  async look() {
    const found = await this.#sandbox.look(this.#id);
    return found.state === "joined" ? null : found.left_reason;
  }
}
