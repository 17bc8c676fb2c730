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
export function joinRoom<R extends TelnyxRoom, C extends object>(initialize: (config: C & {
    roomId: string;
    clientToken: string;
    context: string;
}) => Promise<R>, keeper: TokenKeeper, config?: C): Promise<R>;
/**
 * What is needed of the SDK's room.
 */
export type TelnyxRoom = {
    on: (event: "disconnected", callback: (reason: any) => void) => unknown;
    connect: () => Promise<void>;
    disconnect: () => Promise<void>;
    updateClientToken: (clientToken: string) => Promise<void>;
};
import type { TokenKeeper } from "./keeper.js";
