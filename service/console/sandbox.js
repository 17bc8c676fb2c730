/* The control calls of the sandbox, where `make run` has started one. In production there is none, and no address of one. */

import { ask } from "./api.js";

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

export class Sandbox {
  #base;

  constructor(origin) {
    this.#base = `${origin}/sandbox`;
  }

  async users() {
    return (await ask("GET", `${this.#base}/idp/users`)).data;
  }

  async bearer(user) {
    return (await ask("POST", `${this.#base}/idp/token`, { body: { user } })).token;
  }

  join(token, context) {
    return ask("POST", `${this.#base}/participants`, { body: context === null ? { token } : { token, context } });
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
