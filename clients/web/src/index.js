/** What an app imports from `video-token-client`. How it behaves is in BEHAVIOUR.md. */

export { TokenError, TokenKeeper } from "./keeper.js";
export { reaction } from "./problems.js";

/** @typedef {import("./keeper.js").Ended} Ended */
/** @typedef {import("./keeper.js").GetBearer} GetBearer */
/** @typedef {import("./keeper.js").TokenKeeperEvents} TokenKeeperEvents */
/** @typedef {import("./keeper.js").TokenKeeperOptions} TokenKeeperOptions */
/** @typedef {import("./keeper.js").Trouble} Trouble */
/** @typedef {import("./problems.js").Problem} Problem */
/** @typedef {import("./problems.js").Reaction} Reaction */
/** @typedef {import("./request.js").TokenAnswer} TokenAnswer */
