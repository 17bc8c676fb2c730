/**
 * Tells the stories of story_table.py with the web package, as it is packed: plans on standard input, what the app was told
 * on standard output. The sockets are real, the time is not: it jumps from timer to timer while no request is under way.
 */
import { TokenKeeper } from "video-token-client";

const NOBODY = "http://127.0.0.1:9";

/** The machine of one story. Seconds. */
class World {
  up = 0; // awake
  slept = 0;
  set = 0; // by how much the clock of day is off
  busy = 0; // requests under way that will end by themselves
  offline = false;
  timers = new Set();
  wakers = new Set();
  awake = () => this.up;
  wall = () => 1_700_000_000 + this.up + this.slept + this.set;
  random = () => 0.5;
  timer = (seconds, callback) => {
    const timer = { at: this.up + seconds, callback };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  };
  listen = (callback) => {
    this.wakers.add(callback);
    return () => this.wakers.delete(callback);
  };

  get now() {
    return this.up + this.slept;
  }

  async settle() {
    do for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    while (this.busy > 0);
  }

  async run(until) {
    for (await this.settle(); this.timers.size > 0; await this.settle()) {
      const next = [...this.timers].reduce((first, other) => (other.at < first.at ? other : first));
      if (next.at + this.slept > until) return;
      this.timers.delete(next);
      this.up = Math.max(this.up, next.at);
      next.callback();
    }
  }
}

async function tell(plan) {
  const world = new World();
  const told = [];
  const bearers = [...plan.bearers];
  let number = 0;
  const note = (what, more) => told.push({ at: world.now, what, ...more });
  const { patience, device_id, display_name } = plan.options;
  const keeper = new TokenKeeper(
    {
      service: plan.service,
      room: plan.room,
      patienceSeconds: patience,
      deviceId: device_id,
      displayName: display_name,
      getBearer: async ({ forceRefresh }) => {
        if (forceRefresh) note("forced");
        const bearer = bearers.length > 1 ? bearers.shift() : bearers[0];
        if (bearer === "never") return new Promise(() => {});
        if (bearer === null) throw new Error("nobody is signed in");
        return bearer;
      },
      fetch: async (url, init) => {
        const mine = number++;
        const ends = !plan.never_end.includes(mine);
        if (ends) world.busy += 1;
        try {
          const headers = { ...init.headers, "X-Number": String(mine) };
          const response = await fetch(world.offline ? NOBODY : url, { ...init, headers });
          const text = await response.text();
          return { status: response.status, headers: response.headers, type: response.type, text: async () => text };
        } finally {
          if (ends) world.busy -= 1;
        }
      },
    },
    world,
  );
  const happenings = {
    sleep: (seconds) => (world.slept += seconds),
    wake: () => world.wakers.forEach((wake) => wake()),
    "set clock": (seconds) => (world.set += seconds),
    offline: () => (world.offline = true),
    online: () => (world.offline = false),
    stop: () => keeper.stop(),
  };
  for (const [at, what, seconds] of plan.actions) world.timer(at, () => happenings[what](seconds));
  keeper.on("token", ({ token, source }) => note("token", { token, source }));
  keeper.on("trouble", ({ problem, reaction, failures, expiresIn, retryIn }) =>
    note("trouble", { code: problem.code, reaction, failures, left: expiresIn, retry: retryIn }),
  );
  keeper.on("ended", ({ reason, problem, reaction }) => note("ended", { reason, code: problem.code, reaction }));
  keeper.start().catch(() => {});
  await world.run(plan.until);
  keeper.stop();
  // Nothing is left of a keeper that has ended.
  await world.settle();
  if (world.wakers.size > 0) note("still listening");
  return told;
}

let text = "";
for await (const piece of process.stdin) text += piece;
const all = {};
for (const plan of JSON.parse(text)) all[plan.name] = await tell(plan);
process.stdout.write(JSON.stringify(all), () => process.exit(0));
