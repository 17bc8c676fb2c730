/**
 * Joins a room with the vendor's SDK, `@telnyx/video`, and a token keeper.
 *
 * The SDK is no dependency: the app hands in its `initialize`. Three habits of SDK 1.0.2 are taken into account:
 * `updateClientToken()` never settles when the token is refused, `connect()` may stay pending when the room lets nobody
 * in, and whoever is put out is told `unknown`.
 */

/** @import { TokenKeeper } from "./keeper.js" */

/**
 * What is needed of the SDK's room.
 * @typedef {object} TelnyxRoom
 * @property {(event: "disconnected", callback: (reason: any) => void) => unknown} on
 * @property {() => Promise<void>} connect
 * @property {() => Promise<void>} disconnect
 * @property {(clientToken: string) => Promise<void>} updateClientToken
 */

/**
 * The first token, a connected room, and a new token in time until the call ends. Resolves with the SDK's room. The room
 * is left when the keeper ends, and the keeper is stopped when the room is left; a call that is dropped it asks about
 * first, so that somebody who was removed is told so. Rejects with `TokenError`, or with what
 * the SDK rejects with, or with an `Error` that holds the SDK's reason.
 *
 *     const room = await joinRoom(initialize, keeper, { enableMessages: true });
 *
 * @template {TelnyxRoom} R
 * @template {object} C
 * @param {(config: C & {roomId: string, clientToken: string, context: string}) => Promise<R>} initialize
 * @param {TokenKeeper} keeper
 * @param {C} [config] Further members for `initialize`.
 * @returns {Promise<R>}
 */
export async function joinRoom(initialize, keeper, config) {
  const first = await keeper.start();
  // A keeper that has been running for a while has a later one.
  const { room, token, context } = keeper.current ?? first;
  let entered = false;
  try {
    const joined = await initialize({ .../** @type {C} */ (config), roomId: room.id, clientToken: token, context });
    const disconnected = new Promise((_, reject) => {
      joined.on("disconnected", (reason) => {
        if (entered && reason !== "user_initiated") keeper.dropped();
        else keeper.stop();
        reject(new Error(reason));
      });
    });
    disconnected.catch(() => {});
    // Neither is awaited: the SDK tells of its end by an event.
    keeper.on("token", (answer) => void joined.updateClientToken(answer.token).catch(() => {}));
    keeper.on("ended", () => void joined.disconnect().catch(() => {}));
    await Promise.race([joined.connect(), disconnected]);
    entered = true;
    return joined;
  } catch (error) {
    keeper.stop();
    throw error;
  }
}
