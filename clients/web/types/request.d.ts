/** @import { Problem } from "./problems.js" */
/**
 * What the token call answers; all of it is described in openapi.yaml, TokenAnswer. New members may appear.
 * @typedef {object} TokenAnswer
 * @property {string} token For `initialize()` and `updateClientToken()` of the Telnyx Video SDK.
 * @property {string} expires_at
 * @property {number} expires_in Seconds that the token lives.
 * @property {number} refresh_after Seconds after which the keeper asks again.
 * @property {{id: string, alias: string, max_participants: number, closes_at: string | null}} room
 * @property {{user_id: string, name: string | null, role: string, device_id: string | null}} participant
 * @property {string} context For `initialize()`, unchanged: it proves who joined.
 * @property {string} source `issued`, `refreshed`, `cache` or `stale`.
 */
/**
 * Where and what to ask.
 * @typedef {object} TokenRequest
 * @property {string} url
 * @property {string} body
 * @property {typeof globalThis.fetch} fetch
 */
/**
 * The token call of a room.
 * @param {{service: string, room: string, deviceId?: string, displayName?: string, fetch?: typeof globalThis.fetch}} options
 * @returns {TokenRequest}
 */
export function tokenRequest({ service, room, deviceId, displayName, fetch }: {
    service: string;
    room: string;
    deviceId?: string;
    displayName?: string;
    fetch?: typeof globalThis.fetch;
}): TokenRequest;
/**
 * Asks once. Throws `ProblemError`.
 * @param {TokenRequest} request
 * @param {string} bearer
 * @param {AbortSignal} signal
 * @returns {Promise<TokenAnswer>}
 */
export function send(request: TokenRequest, bearer: string, signal: AbortSignal): Promise<TokenAnswer>;
export function networkError(detail: string): Problem;
export function bearerUnavailable(error: unknown): Problem;
export function staleToken(seconds: number): Problem;
/**
 * What the token call answers; all of it is described in openapi.yaml, TokenAnswer. New members may appear.
 */
export type TokenAnswer = {
    /**
     * For `initialize()` and `updateClientToken()` of the Telnyx Video SDK.
     */
    token: string;
    expires_at: string;
    /**
     * Seconds that the token lives.
     */
    expires_in: number;
    /**
     * Seconds after which the keeper asks again.
     */
    refresh_after: number;
    room: {
        id: string;
        alias: string;
        max_participants: number;
        closes_at: string | null;
    };
    participant: {
        user_id: string;
        name: string | null;
        role: string;
        device_id: string | null;
    };
    /**
     * For `initialize()`, unchanged: it proves who joined.
     */
    context: string;
    /**
     * `issued`, `refreshed`, `cache` or `stale`.
     */
    source: string;
};
/**
 * Where and what to ask.
 */
export type TokenRequest = {
    url: string;
    body: string;
    fetch: typeof globalThis.fetch;
};
import type { Problem } from "./problems.js";
