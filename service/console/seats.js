/* Where a token is used. A seat is what stands between a call and a client SDK:
 *
 *   take(grant)   enter the room with a token answer's `token`, `context` and `room.id`; throws {code}
 *   renew(grant)  go on with another token (the SDK's updateClientToken)
 *   leave()       leave; never throws
 *   look()        null while in, else the reason for having been put out
 */

// The vendor's SDK tells nobody when its signalling cannot be reached (seen with 1.0.2).
const MOST_CONNECTING_MS = 15_000;

/** A real one, by the vendor's own SDK: `make run ARGS=--real`, where somebody has put its bundle beside this file. */
export class SdkSeat {
  #room = null;
  #gone = null;

  async take(grant) {
    const late = new Promise((_, refuse) => setTimeout(refuse, MOST_CONNECTING_MS, { code: "seat_lost" }));
    await Promise.race([this.#connect(grant), late]);
  }

  async #connect(grant) {
    const { initialize } = await import("/console/sdk.js");
    this.#room = await initialize({ roomId: grant.room.id, clientToken: grant.token, context: grant.context });
    const dropped = new Promise((_, refuse) => {
      this.#room.on("disconnected", (reason) => {
        this.#gone = reason ?? "disconnected";
        refuse({ code: this.#gone });
      });
    });
    dropped.catch(() => null);
    await Promise.race([this.#room.connect(), dropped]);
  }

  async renew(grant) {
    await this.#room.updateClientToken(grant.token);
  }

  async leave() {
    await this.#room?.disconnect().catch(() => null);
    this.#room = null;
  }

  async look() {
    return this.#gone;
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
