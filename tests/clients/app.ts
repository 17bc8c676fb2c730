/**
 * Plays an app that uses the web package as it is packed, as told on standard input, and prints what came of it as JSON.
 * Everything else that the app asks of the service goes through a client generated from openapi.yaml. Where a browser has
 * the SDK there is a stand-in for it here: it joins the sandbox as a simulated participant.
 */
import createClient from "openapi-fetch";
import { type Problem, type TokenAnswer, TokenError, TokenKeeper, reaction } from "video-token-client";
import { joinRoom } from "video-token-client/telnyx";

import type { components, paths } from "./.build/openapi.js";

// What the package says of the two documents is what openapi.yaml says of them, or this does not compile.
type Fits<Given extends Wanted, Wanted> = Given;
export type Checked = [
  Fits<components["schemas"]["TokenAnswer"], TokenAnswer>,
  Fits<components["schemas"]["Problem"], Problem>,
];
// The vendor's own initialize() is one that joinRoom takes, with its own options, and the room is the vendor's.
declare const initialize: typeof import("@telnyx/video").initialize;
export const typed = async (keeper: TokenKeeper): Promise<void> =>
  (await joinRoom(initialize, keeper, { enableMessages: true })).removeStream("camera");

interface Plan {
  service: string;
  sandbox: string;
  alias: string;
  /** Handed out one after the other, the last one again and again. */
  bearers: string[];
  /** How many tokens to see before leaving; none: until the call ends. */
  tokens?: number;
}

interface Participant {
  id: string;
  state: string;
  token_expires_in: number;
}

interface Told {
  at: number;
  what: string;
  [member: string]: unknown;
}

const began = Date.now();
const told: Told[] = [];
const tell = (what: string, more: object = {}): void => {
  told.push({ at: (Date.now() - began) / 1000, what, ...more });
};

async function control(plan: Plan, method: string, path: string, body: object): Promise<Participant> {
  const answer = await fetch(`${plan.sandbox}/sandbox/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    ...(method === "GET" ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}`);
  return (answer.status === 204 ? {} : await answer.json()) as Participant;
}

/** What the package needs of the SDK, for a simulated participant. */
function simulated(plan: Plan, onHandedOver: () => void, onLeft: (reason: string) => void) {
  return async ({ clientToken, context }: { clientToken: string; context?: string }) => {
    let gone: ((reason: string) => void) | undefined;
    let id = "";
    let watch: NodeJS.Timeout | undefined;
    const leave = (reason: string): void => {
      clearInterval(watch);
      gone?.(reason);
      onLeft(reason);
    };
    return {
      on: (_: "disconnected", callback: (reason: string) => void) => void (gone = callback),
      connect: async () => {
        id = (await control(plan, "POST", "participants", { token: clientToken, context })).id;
        tell("connected", { id });
        watch = setInterval(async () => {
          if ((await control(plan, "GET", `participants/${id}`, {})).state === "left") leave("unknown");
        }, 100);
      },
      disconnect: async () => {
        await control(plan, "DELETE", `participants/${id}`, {});
        leave("user_initiated");
      },
      updateClientToken: async (token: string) => {
        const { token_expires_in } = await control(plan, "PUT", `participants/${id}/token`, { token });
        tell("handed over", { token_expires_in });
        onHandedOver();
      },
    };
  };
}

async function who(plan: Plan): Promise<void> {
  const client = createClient<paths>({ baseUrl: plan.service });
  const { data, error } = await client.GET("/v1/rooms/{alias}/participants", {
    params: { path: { alias: plan.alias } },
    headers: { Authorization: `Bearer ${plan.bearers.at(-1)}` },
  });
  if (error) tell("not listed", error);
  else tell("listed", { participants: data.data });
}

async function main(plan: Plan): Promise<void> {
  const bearers = [...plan.bearers];
  let seen = 0;
  const keeper = new TokenKeeper({
    service: plan.service,
    room: plan.alias,
    getBearer: ({ forceRefresh }) => {
      if (forceRefresh) tell("another bearer");
      return (forceRefresh ? bearers.at(-1) : bearers[0]) ?? "";
    },
  });
  keeper.on("token", ({ source, expires_in, refresh_after }) => {
    tell("token", { source, expires_in, refresh_after });
    seen += 1;
  });
  keeper.on("trouble", ({ problem, expiresIn }) => tell("trouble", { code: problem.code, left: expiresIn }));
  keeper.on("ended", ({ reason, problem, reaction: told }) => {
    if (told !== reaction(problem)) throw new Error("two reactions to one problem");
    tell("ended", { reason, code: problem.code, reaction: told, opens_at: problem.opens_at });
  });
  await new Promise<void>((done) => {
    const enough = (): void => {
      if (seen === plan.tokens) void who(plan).then(done);
    };
    const left = (reason: string): void => {
      tell("left", { reason });
      done();
    };
    joinRoom(simulated(plan, enough, left), keeper)
      .then(enough)
      .catch((error: unknown) => {
        if (!(error instanceof TokenError)) throw error;
        done();
      });
  });
  process.stdout.write(JSON.stringify(told), () => process.exit(0));
}

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () => void main(JSON.parse(text) as Plan));
