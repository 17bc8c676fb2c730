// An app in a browser: the web package and the vendor's SDK as they are in their packages, without a bundler.

// Bundlers put this in for a browser; it is all that the SDK's module lacks.
globalThis.process = { env: { NODE_ENV: "production" } };

const { initialize } = await import("/sdk.mjs");
const { TokenKeeper } = await import("/client/index.js");
const { joinRoom } = await import("/client/telnyx.js");

const began = performance.now();
const told = [];
const seconds = () => (performance.now() - began) / 1000;
const tell = (what, more = {}) => told.push({ at: seconds(), what, ...more });

// Keeps an eye on the SDK, which is otherwise as the package gets it.
async function watched(config) {
  const room = await initialize(config);
  tell("initialized", { participant_id: room.getLocalParticipant().id });
  for (const event of ["connected", "disconnected", "participant_joined", "participant_leaving", "participant_left"]) {
    room.on(event, (...args) => tell(event, { args: args.slice(0, -1) }));
  }
  globalThis.room = room;
  return {
    ...room,
    updateClientToken: async (token) => {
      await room.updateClientToken(token);
      tell("token updated");
    },
  };
}

globalThis.app = {
  told,
  seconds,
  /** As an app does that uses the package. */
  join: ({ bearer, ...options }) => {
    const keeper = new TokenKeeper({ ...options, getBearer: () => bearer });
    keeper.on("token", ({ source, expires_in, refresh_after }) => tell("token", { source, expires_in, refresh_after }));
    keeper.on("trouble", ({ problem, expiresIn }) => tell("trouble", { code: problem.code, left: expiresIn }));
    keeper.on("ended", ({ reason, problem }) => tell("ended", { reason, code: problem.code }));
    return joinRoom(watched, keeper).then(
      () => tell("joined"),
      (error) => tell("not joined", { error: String(error) }),
    );
  },
  /** As an app does that never renews. */
  joinOnce: async ({ roomId, clientToken, context }) => {
    const room = await watched({ roomId, clientToken, context });
    await room.connect();
  },
};
document.title = "ready";
