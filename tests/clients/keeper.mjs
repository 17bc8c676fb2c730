/** What only the web package has: listeners, promises and signals. Prints what each case came to. */
import { TokenError, TokenKeeper } from "video-token-client";
import { joinRoom } from "video-token-client/telnyx";

const complaints = [];
console.error = (error) => complaints.push(String(error));

const life = { expires_in: 600, refresh_after: 0.02, room: { id: "id" }, context: "{}", source: "issued" };
const token = (more) => [200, "application/json", { ...life, token: "token", ...more }];
const refusal = [403, "application/problem+json", { code: "banned", title: "No", retryable: false }];

/** A keeper of these answers, the last one again and again. */
function made(answers, more = {}) {
  const script = [...answers];
  const asked = [];
  const fetch = async (url, { signal }) => {
    signal.throwIfAborted();
    asked.push(url);
    const answer = script.length > 1 ? script.shift() : script[0];
    // One that never comes.
    if (answer === null) return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const [status, type, body] = answer;
    return new Response(JSON.stringify(body), { status, headers: { "Content-Type": type } });
  };
  const told = [];
  const options = { service: "https://video.example.com/", room: "standup", getBearer: () => "bearer", fetch, ...more };
  const keeper = new TokenKeeper(options);
  const note = () => {
    for (const event of ["token", "trouble", "ended"]) keeper.on(event, () => told.push(event));
  };
  return { keeper, asked, told, note };
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const failure = (promise) => promise.then(() => null, (error) => error);

const cases = {
  async "stopped in a listener"() {
    const { keeper, told, note, asked } = made([token({ source: "stale" })]);
    keeper.on("token", () => keeper.stop());
    note();
    const error = await failure(keeper.start());
    await pause(60);
    return [told, asked.length, error?.name ?? null];
  },
  async "a listener that throws"() {
    const { keeper, told, note, asked } = made([token()]);
    keeper.on("token", () => {
      throw new Error("of the app");
    });
    note();
    await keeper.start();
    while (asked.length < 3) await pause(5);
    keeper.stop();
    return [told.slice(0, 2), complaints[0]];
  },
  async "a listener that was taken away"() {
    const { keeper, asked } = made([token()]);
    let heard = 0;
    const away = keeper.on("token", () => (heard += 1));
    await keeper.start();
    away();
    while (asked.length < 3) await pause(5);
    keeper.stop();
    return heard;
  },
  async "started twice"() {
    const { keeper, asked } = made([token({ refresh_after: 60 })]);
    const same = keeper.start() === keeper.start();
    const answer = await keeper.start();
    keeper.stop();
    return [same, asked, answer.token, keeper.current.token];
  },
  async refused() {
    const { keeper, told, note } = made([refusal]);
    note();
    const error = await failure(keeper.start());
    return [error instanceof TokenError, error.reason, error.problem.code, error.reaction, told];
  },
  async "aborted by a signal"() {
    const abort = new AbortController();
    const { keeper, told, note, asked } = made([token()], { signal: abort.signal });
    note();
    await keeper.start();
    const before = told.length;
    abort.abort();
    await pause(60);
    return [before, told.length - before, asked.length];
  },
  async "aborted before it began"() {
    const { keeper, asked } = made([token()], { signal: AbortSignal.abort(new Error("over")) });
    const error = await failure(keeper.start());
    return [error.message, asked.length];
  },
  async "stopped while it joins"() {
    const { keeper, told, note } = made([token()], { getBearer: () => new Promise(() => {}) });
    note();
    const started = failure(keeper.start());
    keeper.stop();
    return [(await started).name, told];
  },
  async "an answer that was long on its way"() {
    let now = 0;
    const surroundings = { awake: () => now, wall: () => now, timer: () => () => {}, listen: () => () => {}, random: () => 0 };
    const fetch = async () => {
      now += 5;
      return new Response(JSON.stringify({ ...life, token: "token", source: "stale" }));
    };
    const options = { service: "", room: "standup", getBearer: () => "bearer", fetch };
    const keeper = new TokenKeeper(options, surroundings);
    const left = new Promise((told) => keeper.on("trouble", ({ expiresIn }) => told(expiresIn)));
    await keeper.start();
    keeper.stop();
    return left;
  },
  async "the bearer's signal"() {
    const signals = [];
    const getBearer = ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const { keeper } = made([token()], { getBearer });
    const started = failure(keeper.start());
    await pause(5);
    const before = signals[0].aborted;
    keeper.stop();
    await started;
    return [before, signals[0].aborted];
  },
};

/** An SDK that does as it is told; `did` is what it was asked for. */
function sdk(connect) {
  const did = [];
  let disconnected;
  const initialize = async ({ clientToken, enableMessages }) => {
    did.push(["initialize", clientToken, enableMessages]);
    return {
      on: (_, callback) => (disconnected = callback),
      connect: async () => connect((reason) => disconnected(reason)),
      disconnect: async () => did.push(["disconnect"]),
      // As of 1.0.2, where a token is refused.
      updateClientToken: (token) => (did.push(["update", token]), new Promise(() => {})),
    };
  };
  return { initialize, did };
}

/** What is told and asked for after the SDK has said that the call is over. */
async function dropped(answers, reason) {
  const { keeper, asked, told, note } = made(answers);
  let gone;
  const { initialize, did } = sdk((disconnect) => (gone = disconnect));
  await joinRoom(initialize, keeper);
  note();
  while (answers.includes(null) && asked.length < 2) await pause(1);
  const before = asked.length;
  gone(reason);
  gone(reason);
  await pause(60);
  return [told, asked.length - before, did.filter(([what]) => what === "update")];
}

Object.assign(cases, {
  async "joined with a keeper that runs already"() {
    const { keeper, asked } = made([token({ token: "one" }), token({ token: "two" }), token({ refresh_after: 60 })]);
    await keeper.start();
    while (keeper.current.token === "one") await pause(1);
    const { initialize, did } = sdk(() => {});
    await joinRoom(initialize, keeper, { enableMessages: true });
    while (asked.length < 3) await pause(5);
    await pause(5);
    keeper.stop();
    return did;
  },
  async "ended while in a room"() {
    const { keeper } = made([token(), refusal]);
    const { initialize, did } = sdk(() => {});
    await joinRoom(initialize, keeper);
    while (did.length < 2) await pause(5);
    return did;
  },
  async "left by the app"() {
    return dropped([token({ refresh_after: 60 })], "user_initiated");
  },
  async "dropped by the SDK"() {
    return dropped([token({ refresh_after: 60 }), token()], "unknown");
  },
  async "removed by a moderator"() {
    return dropped([token({ refresh_after: 60 }), refusal], "unknown");
  },
  async "dropped while the service is away"() {
    return dropped([token({ refresh_after: 60 }), [503, "text/plain", ""]], "unknown");
  },
  async "removed while it asks"() {
    return dropped([token({ refresh_after: 0 }), null, refusal], "unknown");
  },
  async "a room that lets nobody in"() {
    const { keeper, asked } = made([token()]);
    const { initialize } = sdk((disconnect) => {
      disconnect("unknown");
      return new Promise(() => {});
    });
    const error = await failure(joinRoom(initialize, keeper));
    await pause(60);
    return [error.message, asked.length];
  },
  async "an SDK that fails"() {
    const { keeper, asked } = made([token()]);
    const error = await failure(joinRoom(() => Promise.reject(new Error("no WebRTC")), keeper));
    await pause(60);
    return [error.message, asked.length];
  },
});

const came = {};
for (const [name, tell] of Object.entries(cases)) came[name] = await tell();
process.stdout.write(JSON.stringify(came));
