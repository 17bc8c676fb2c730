// An app in a browser: the compiled snippet and the vendor's SDK as it is in its package, without a bundler.

// Bundlers put this in for a browser; it is all that the SDK's module lacks.
globalThis.process = { env: { NODE_ENV: "production" } };

const { initialize } = await import("/sdk.mjs");
const { join } = await import("/meeting.js");

const began = performance.now();
const told = [];
const seconds = () => (performance.now() - began) / 1000;
const tell = (what, more = {}) => told.push({ at: seconds(), what, ...more });

// Keeps an eye on the SDK, which is otherwise as the snippet gets it.
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
  /** As an app does that uses the snippet. */
  join: ({ bearer, ...options }) =>
    join(watched, {
      ...options,
      bearer: async () => bearer,
      onToken: ({ source, expires_in, refresh_after }) => tell("token", { source, expires_in, refresh_after }),
      onEnd: (reason, problem) => tell("ended", { reason, code: problem?.code }),
    }).then(
      () => tell("joined"),
      (error) => tell("not joined", { error: String(error) }),
    ),
  /** As an app does that never renews. */
  joinOnce: async ({ roomId, clientToken, context }) => {
    const room = await watched({ roomId, clientToken, context });
    await room.connect();
  },
};
document.title = "ready";
