/**
 * The token call: one request, and what its answer means (BEHAVIOUR.md, sections 1 and 2).
 *
 * Knows nothing of time, repeats and bearers' lives; `keeper.js` does.
 */

import { ProblemError, isRetryableStatus } from "./problems.js";

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
export function tokenRequest({ service, room, deviceId, displayName, fetch }) {
  return {
    url: `${service.replace(/\/+$/, "")}/v1/rooms/${encodeURIComponent(room)}/token`,
    // JSON leaves out what is undefined.
    body: JSON.stringify({ device_id: deviceId, display_name: displayName }),
    // Looked up at each call, for those who replace it later; and fetch() must not be called on another object.
    fetch: fetch ?? ((...asked) => globalThis.fetch(...asked)),
  };
}

/**
 * Asks once. Throws `ProblemError`.
 * @param {TokenRequest} request
 * @param {string} bearer
 * @param {AbortSignal} signal
 * @returns {Promise<TokenAnswer>}
 */
export async function send(request, bearer, signal) {
  let response, text;
  try {
    response = await request.fetch(request.url, {
      method: "POST",
      headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
      body: request.body,
      credentials: "omit",
      redirect: "manual",
      signal,
    });
    text = await response.text();
  } catch (error) {
    throw new ProblemError(networkError(String(error)));
  }
  const document = parsed(text);
  if (response.status === 200 && isTokenAnswer(document)) return document;
  throw new ProblemError(problemOf(response, document));
}

/**
 * @param {string} detail
 * @returns {Problem}
 */
export const networkError = (detail) => ({
  code: "network_error",
  title: "The service cannot be reached",
  status: 0,
  retryable: true,
  detail,
});

/**
 * @param {unknown} error What the app's callback threw.
 * @returns {Problem}
 */
export const bearerUnavailable = (error) => ({
  code: "bearer_unavailable",
  title: "The app has no bearer for this user now",
  status: 0,
  retryable: true,
  detail: String(error),
});

/**
 * @param {number} seconds Until the service is asked again.
 * @returns {Problem}
 */
export const staleToken = (seconds) => ({
  code: "stale_token",
  title: "The service could not renew the token yet",
  status: 200,
  retryable: true,
  retry_after: seconds,
});

/**
 * @param {string} text
 * @returns {any} `null` for what is no JSON.
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {any} document
 * @returns {document is TokenAnswer}
 */
function isTokenAnswer(document) {
  return (
    typeof document?.token === "string" &&
    document.token !== "" &&
    typeof document.expires_in === "number" &&
    document.expires_in > 0 &&
    typeof document.refresh_after === "number" &&
    document.refresh_after >= 0 &&
    typeof document.room?.id === "string" &&
    typeof document.context === "string"
  );
}

/**
 * @param {Response} response
 * @param {any} document
 * @returns {Problem}
 */
function problemOf(response, document) {
  const status = response.status;
  const header = response.headers.get("Retry-After") ?? "";
  const waits = /^\d+$/.test(header) ? { retry_after: Number(header) } : {};
  const told = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (told && typeof document?.code === "string") {
    return { title: document.code, retryable: isRetryableStatus(status), ...waits, ...document, status };
  }
  // A browser hides where a redirect leads, and its status too.
  if (response.type === "opaqueredirect" || (status >= 300 && status < 400)) {
    return { code: "redirected", title: "The service answered with a redirect", status, retryable: false };
  }
  const success = status >= 200 && status < 300;
  const code = success ? "invalid_answer" : `http_${status}`;
  const title = "The answer is none of the token service";
  return { code, title, status, retryable: success || isRetryableStatus(status), ...waits };
}
