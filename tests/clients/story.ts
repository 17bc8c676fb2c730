/**
 * Plays an app that uses clients/web/meeting.ts, as told on standard input, and prints what came of it as JSON.
 * Everything else that the app asks of the service goes through a client generated from openapi.yaml. Where a browser has
 * the SDK there is a stand-in for it here: it joins the sandbox as a simulated participant.
 */
import createClient from "openapi-fetch";

import { type Answer, type Options, type Problem, Refused, join, reaction } from "../../clients/web/meeting.js";
import type { components, paths } from "./.build/openapi.js";

// What the snippet says of the two documents is what openapi.yaml says of them, or this does not compile.
type Fits<Given extends Wanted, Wanted> = Given;
export type Checked = [
  Fits<components["schemas"]["TokenAnswer"], Answer>,
  Fits<components["schemas"]["Problem"], Problem>,
];

interface Plan {
  service: string;
  sandbox: string;
  alias: string;
  /** Handed out one after the other, the last one again and again. */
  bearers: string[];
  /** How many tokens to see before leaving; none: until the call ends. */
  tokens?: number;
  patience?: number;
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

/** What the snippet needs of the SDK, for a simulated participant. */
function simulated(plan: Plan, handedOver: () => void) {
  return async ({ clientToken, context }: { clientToken: string; context?: string }) => {
    let gone: ((reason: "unknown" | "user_initiated") => void) | undefined;
    let id = "";
    let watch: NodeJS.Timeout | undefined;
    const leave = (reason: "unknown" | "user_initiated"): void => {
      clearInterval(watch);
      gone?.(reason);
    };
    return {
      on: (event: string, callback: (...args: never[]) => void) => {
        if (event === "disconnected") gone = callback as typeof gone;
        return () => undefined;
      },
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
        handedOver();
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
  await new Promise<void>((done) => {
    const options: Options = {
      service: plan.service,
      alias: plan.alias,
      ...(plan.patience === undefined ? {} : { patience: plan.patience }),
      bearer: async (renewed) => {
        if (renewed) tell("another bearer");
        return (renewed ? bearers.at(-1) : bearers[0]) ?? "";
      },
      onToken: (answer) => {
        tell("token", { source: answer.source, expires_in: answer.expires_in, refresh_after: answer.refresh_after });
        seen += 1;
      },
      onEnd: (reason, problem) => {
        tell("ended", { reason, reaction: problem && reaction(problem) });
        done();
      },
    };
    const enough = (): void => {
      if (seen === plan.tokens) void who(plan).then(done);
    };
    const start = simulated(plan, enough);
    join(start, options)
      .then(enough)
      .catch((error: unknown) => {
        if (!(error instanceof Refused)) throw error;
        tell("refused", { ...error.problem, reaction: reaction(error.problem) });
        done();
      });
  });
  // After its end the app may still be leaving the room; where it has only seen enough, its timers go on for ever.
  process.stdout.write(JSON.stringify(told), () => seen === plan.tokens && process.exit(0));
}

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () => void main(JSON.parse(text) as Plan));
