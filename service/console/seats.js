/* Where a token is used. A seat is what stands between a call and a client SDK:
 *
 *   take(grant)   enter the room with a token answer's `token`, `context` and `room.id`
 *   renew(grant)  go on with another token (the SDK's updateClientToken)
 *   leave()       leave; never throws
 *   look()        null while in, else the reason for having been put out
 */

/** A simulated participant of the sandbox. */
export class SandboxSeat {
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

/** No SDK at hand: the token is kept alive for whoever copies it. */
export class NoSeat {
  async take() {}

  async renew() {}

  async leave() {}

  async look() {
    return null;
  }
}
