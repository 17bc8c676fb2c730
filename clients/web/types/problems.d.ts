/**
 * By the code, then by status 401, then by `retryable`, so that a new code needs no new app.
 * @param {Problem} problem
 * @returns {Reaction}
 */
export function reaction(problem: Problem): Reaction;
/**
 * Seconds to wait at least, 0 to 60.
 * @param {Problem} problem
 */
export function retryAfter(problem: Problem): number;
export function refusesBearer(problem: Problem): boolean;
export function isFinal(problem: Problem): boolean;
export function isRetryableStatus(status: number): boolean;
/** Carries a problem from where it was found to where it is handled. */
export class ProblemError extends Error {
    /** @param {Problem} problem */
    constructor(problem: Problem);
    problem: Problem;
}
/**
 * A problem document of the service (RFC 9457), or what this package makes of everything else.
 */
export type Problem = {
    /**
     * What programs go by.
     */
    code: string;
    title: string;
    /**
     * HTTP status, 0 where there was no answer.
     */
    status: number;
    /**
     * Whether the same request may succeed later.
     */
    retryable: boolean;
    /**
     * Seconds to wait at least.
     */
    retry_after?: number | undefined;
    /**
     * When the room opens (RFC 3339), with `not_open_yet`.
     */
    opens_at?: string | undefined;
    /**
     * For developers.
     */
    detail?: string | undefined;
    /**
     * What the service's logs call this request.
     */
    request_id?: string | undefined;
};
/**
 * What an app does about a problem: try again, show that a moderator has to let the user in, sign the user in, wait for
 * `opens_at`, leave the call, report a bug.
 */
export type Reaction = "retry" | "wait" | "sign_in" | "lobby" | "leave" | "report";
