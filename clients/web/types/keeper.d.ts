/** Why there is no first token. */
export class TokenError extends Error {
    /** @param {Ended} ended */
    constructor({ reason, problem, reaction }: Ended);
    reason: "expired" | "refused" | "unavailable";
    problem: Problem;
    reaction: Reaction;
}
/** Has one life: for another call, make another one. */
export class TokenKeeper {
    /**
     * @param {TokenKeeperOptions} options
     * @param {Surroundings} [surroundings] For tests.
     */
    constructor(options: TokenKeeperOptions, surroundings?: Surroundings);
    /** The last answer of the service, `null` before the first. */
    get current(): TokenAnswer | null;
    /**
     * Listens to `token`, `trouble` or `ended`; returns what ends the listening.
     * @template {keyof TokenKeeperEvents} E
     * @param {E} event
     * @param {(told: TokenKeeperEvents[E]) => void} listener
     * @returns {() => void}
     */
    on<E extends keyof TokenKeeperEvents>(event: E, listener: (told: TokenKeeperEvents[E]) => void): () => void;
    /**
     * Begins, and resolves with the first token. Rejects with `TokenError`, or after `stop()` with its reason. Another call
     * returns the same promise.
     * @returns {Promise<TokenAnswer>}
     */
    start(): Promise<TokenAnswer>;
    /** Nothing is asked or told any more. */
    stop(): void;
    /**
     * The call is over, and nobody knows why: asks once more, now. A refusal is told as `ended`, and nothing else any more;
     * the keeper ends either way.
     */
    dropped(): void;
    /** Looks at the clock again, for signals of which only the app knows. */
    wake(): void;
    #private;
}
/**
 * Returns the user's bearer from your identity provider. `forceRefresh`: the last one was refused, so get a new one.
 * `signal` is aborted when the keeper no longer waits for it.
 */
export type GetBearer = (asked: {
    forceRefresh: boolean;
    signal: AbortSignal;
}) => string | Promise<string>;
export type TokenKeeperOptions = {
    /**
     * The service's URL, with or without a path.
     */
    service: string;
    /**
     * The room's alias.
     */
    room: string;
    getBearer: GetBearer;
    /**
     * Keeps the tokens of one user's devices apart.
     */
    deviceId?: string | undefined;
    /**
     * Used where the bearer names nobody.
     */
    displayName?: string | undefined;
    /**
     * How long to try for the first token, without the time for which the user waits for
     * a moderator; 30 by default.
     */
    patienceSeconds?: number | undefined;
    /**
     * Used in place of the global one.
     */
    fetch?: typeof fetch | undefined;
    /**
     * Stops the keeper.
     */
    signal?: AbortSignal | undefined;
};
/**
 * An attempt that brought no token, while the keeper goes on. With the reaction `wait` nothing has failed: the user waits
 * for a moderator.
 */
export type Trouble = {
    problem: Problem;
    reaction: Reaction;
    /**
     * In a row, this one included; 0 while the user waits for a moderator.
     */
    failures: number;
    /**
     * Seconds that the token still lives, 0 where there is none.
     */
    expiresIn: number;
    /**
     * Seconds until the next try.
     */
    retryIn: number;
};
/**
 * The keeper has ended by itself: the service refused this user, the token is over, or there was none in time.
 */
export type Ended = {
    reason: "refused" | "expired" | "unavailable";
    /**
     * The last one.
     */
    problem: Problem;
    reaction: Reaction;
};
export type TokenKeeperEvents = {
    token: TokenAnswer;
    trouble: Trouble;
    ended: Ended;
};
import type { Problem } from "./problems.js";
import type { Reaction } from "./problems.js";
import type { TokenAnswer } from "./request.js";
import type { Surroundings } from "./clock.js";
