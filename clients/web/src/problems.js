/**
 * What an answer means that is no token (BEHAVIOUR.md, section 2).
 *
 * Owns the table of reactions. Rules for editors: a code that only repeats what `retryable` says has no row here.
 */

/**
 * A problem document of the service (RFC 9457), or what this package makes of everything else.
 * @typedef {object} Problem
 * @property {string} code What programs go by.
 * @property {string} title
 * @property {number} status HTTP status, 0 where there was no answer.
 * @property {boolean} retryable Whether the same request may succeed later.
 * @property {number} [retry_after] Seconds to wait at least.
 * @property {string} [opens_at] When the room opens (RFC 3339), with `not_open_yet`.
 * @property {string} [detail] For developers.
 * @property {string} [request_id] What the service's logs call this request.
 */

/**
 * What an app does about a problem: try again, show that a moderator has to let the user in, sign the user in, wait for
 * `opens_at`, leave the call, report a bug.
 * @typedef {"retry" | "wait" | "sign_in" | "lobby" | "leave" | "report"} Reaction
 */

/** @type {Readonly<Record<string, Reaction>>} */
const REACTIONS = {
  missing_credentials: "sign_in",
  invalid_token: "sign_in",
  session_revoked: "sign_in",
  waiting_for_admission: "wait",
  not_open_yet: "lobby",
  banned: "leave",
  closed: "leave",
  admission_refused: "leave",
  insufficient_role: "leave",
  room_not_found: "leave",
};
const RETRYABLE_STATUSES = new Set([408, 425, 429]);
// The service never says more; a proxy may.
const MAX_RETRY_AFTER_SECONDS = 60;

/**
 * By the code, then by status 401, then by `retryable`, so that a new code needs no new app.
 * @param {Problem} problem
 * @returns {Reaction}
 */
export function reaction(problem) {
  const known = Object.hasOwn(REACTIONS, problem.code) ? REACTIONS[problem.code] : undefined;
  return known ?? (problem.status === 401 ? "sign_in" : problem.retryable ? "retry" : "report");
}

/**
 * Whether another bearer may help. A revoked session stays revoked.
 * @param {Problem} problem
 */
export const refusesBearer = (problem) => problem.status === 401 && problem.code !== "session_revoked";

/**
 * Whether the service has decided about this user, so that a call ends even while its token lives.
 * @param {Problem} problem
 */
export const isFinal = (problem) =>
  problem.code === "session_revoked" || ["leave", "lobby"].includes(reaction(problem));

/**
 * Seconds to wait at least, 0 to 60.
 * @param {Problem} problem
 */
export function retryAfter(problem) {
  const told = problem.retry_after;
  return typeof told === "number" && told > 0 ? Math.min(told, MAX_RETRY_AFTER_SECONDS) : 0;
}

/**
 * Whether a request that got this status, and no problem document, may succeed later.
 * @param {number} status
 */
export const isRetryableStatus = (status) => status >= 500 || RETRYABLE_STATUSES.has(status);

/** Carries a problem from where it was found to where it is handled. */
export class ProblemError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}
