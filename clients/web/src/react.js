/** A token keeper as a React hook. React is the app's own. */

import { useEffect, useRef, useState } from "react";

import { TokenKeeper } from "./keeper.js";

/** @import { Ended, TokenKeeperOptions, Trouble } from "./keeper.js" */
/** @import { TokenAnswer } from "./request.js" */

/**
 * What a component can show.
 * @typedef {object} TokenKeeperState
 * @property {"idle" | "joining" | "live" | "ended"} status
 * @property {TokenAnswer | null} answer The last token.
 * @property {Trouble | null} trouble What the last attempt failed by; `null` once there is a new token.
 * @property {Ended | null} ended
 * @property {TokenKeeper | null} keeper For `joinRoom`.
 */

/** @type {TokenKeeperState} */
const IDLE = { status: "idle", answer: null, trouble: null, ended: null, keeper: null };

/**
 * Keeps a token while the component is mounted and `options` is not `null`. Another service, room, device or name begins
 * anew; other callbacks do not.
 *
 *     const { answer, trouble, ended, keeper } = useTokenKeeper(joined ? { service, room: "standup", getBearer } : null);
 *
 * @param {Omit<TokenKeeperOptions, "signal"> | null} options
 * @returns {TokenKeeperState}
 */
export function useTokenKeeper(options) {
  const [state, setState] = useState(IDLE);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const identity = options && JSON.stringify([options.service, options.room, options.deviceId, options.displayName]);
  useEffect(() => {
    const begun = latest.current;
    if (!begun) return undefined;
    const keeper = new TokenKeeper({ ...begun, getBearer: (asked) => (latest.current ?? begun).getBearer(asked) });
    setState({ ...IDLE, status: "joining", keeper });
    keeper.on("token", (answer) => setState((now) => ({ ...now, status: "live", answer, trouble: null })));
    keeper.on("trouble", (trouble) => setState((now) => ({ ...now, trouble })));
    keeper.on("ended", (ended) => setState((now) => ({ ...now, status: "ended", ended, trouble: null })));
    void keeper.start();
    return () => {
      keeper.stop();
      setState(IDLE);
    };
  }, [identity]);
  return state;
}
