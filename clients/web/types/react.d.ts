/**
 * Keeps a token while the component is mounted and `options` is not `null`. Another service, room, device or name begins
 * anew; other callbacks do not.
 *
 *     const { answer, trouble, ended, keeper } = useTokenKeeper(joined ? { service, room: "standup", getBearer } : null);
 *
 * @param {Omit<TokenKeeperOptions, "signal"> | null} options
 * @returns {TokenKeeperState}
 */
export function useTokenKeeper(options: Omit<TokenKeeperOptions, "signal"> | null): TokenKeeperState;
/**
 * What a component can show.
 */
export type TokenKeeperState = {
    status: "idle" | "joining" | "live" | "ended";
    /**
     * The last token.
     */
    answer: TokenAnswer | null;
    /**
     * What the last attempt failed by; `null` once there is a new token.
     */
    trouble: Trouble | null;
    ended: Ended | null;
    /**
     * For `joinRoom`.
     */
    keeper: TokenKeeper | null;
};
import type { TokenKeeperOptions } from "./keeper.js";
import type { TokenAnswer } from "./request.js";
import type { Trouble } from "./keeper.js";
import type { Ended } from "./keeper.js";
import { TokenKeeper } from "./keeper.js";
