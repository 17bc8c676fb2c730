/**
 * Joins a Telnyx Video room with tokens of the video token service, and keeps the call alive.
 *
 *     import { initialize } from "@telnyx/video";
 *     const room = await join(initialize, { service, alias: "standup", bearer, onEnd });
 *
 * Needs a browser with fetch and AbortSignal.timeout (all since 2022). Copy it, change it.
 */
import type { Events, Room, initialize } from "@telnyx/video";

/** What the token call answers; all members are in openapi.yaml, TokenAnswer. */
export interface Answer {
  token: string;
  expires_in: number;
  refresh_after: number;
  room: { id: string; alias: string };
  participant: { user_id: string; name: string | null; role: string };
  context: string;
  source: string;
}

/** What every error says; `retry_after` in seconds. */
export interface Problem {
  code: string;
  title: string;
  status: number;
  retryable: boolean;
  retry_after?: number;
  opens_at?: string;
}

/** What an app does about a problem: again | sign_in | lobby (wait for `opens_at`) | leave | report (a bug). */
export type Reaction = "again" | "sign_in" | "lobby" | "leave" | "report";

const REACTIONS: Readonly<Record<string, Reaction>> = {
  missing_credentials: "sign_in",
  invalid_token: "sign_in",
  session_revoked: "sign_in",
  not_open_yet: "lobby",
  banned: "leave",
  closed: "leave",
  insufficient_role: "leave",
  room_not_found: "leave",
};

/** By its code, and where that asks for nothing special by `retryable`, so that new codes need no new app. */
export function reaction(problem: Problem): Reaction {
  return REACTIONS[problem.code] ?? (problem.retryable ? "again" : "report");
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

export interface Options {
  service: string;
  alias: string;
  /** The user's bearer from your identity provider; `renewed`: the last one was refused, get a new one. */
  bearer: (renewed: boolean) => Promise<string>;
  deviceId?: string;
  /** Seconds to go on trying for the first token. */
  patience?: number;
  onToken?: (answer: Answer) => void;
  /** Once, when the call is over: the SDK's reason, or the problem because of which we left. */
  onEnd?: (reason: string, problem?: Problem) => void;
}

type Call = Pick<Room, "on" | "connect" | "disconnect" | "updateClientToken">;
type Initialize<C extends Call> = (config: Parameters<typeof initialize>[0]) => Promise<C>;

const CALL_TIMEOUT = 10_000;
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** One token call. Throws `Refused`; whatever is no answer of the service counts as worth another try. */
export async function askOnce(options: Options, renewed = false): Promise<Answer> {
  let answer: Response;
  try {
    answer = await fetch(`${options.service}/v1/rooms/${options.alias}/token`, {
      method: "POST",
      headers: { Authorization: `Bearer ${await options.bearer(renewed)}`, "Content-Type": "application/json" },
      body: JSON.stringify(options.deviceId === undefined ? {} : { device_id: options.deviceId }),
      signal: AbortSignal.timeout(CALL_TIMEOUT),
    });
    if (answer.ok) return (await answer.json()) as Answer;
  } catch {
    throw new Refused({ code: "no_answer", title: "The service cannot be reached", status: 0, retryable: true });
  }
  const told = (await answer.json().catch(() => ({}))) as Partial<Problem>;
  const status = answer.status;
  const problem = { code: `http_${status}`, title: answer.statusText, retryable: status >= 500, ...told, status };
  if (status === 401 && problem.code === "invalid_token" && !renewed) return askOnce(options, true);
  throw new Refused(problem);
}

/** Tries again while that may help and `until` (ms since the epoch) is ahead: backoff, jitter, never before told. */
export async function ask(options: Options, until: number): Promise<Answer> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await askOnce(options);
    } catch (error) {
      if (!(error instanceof Refused) || reaction(error.problem) !== "again") throw error;
      const told = (error.problem.retry_after ?? 0) * 1000;
      const pause = told + Math.random() * Math.min(1000 * 2 ** attempt, 15_000);
      if (Date.now() + pause >= until) throw error;
      await sleep(pause);
    }
  }
}

/** Joins, and renews the token until the call ends. Throws `Refused`, or what the SDK rejects with. */
export async function join<C extends Call>(start: Initialize<C>, options: Options): Promise<C> {
  const first = await ask(options, Date.now() + (options.patience ?? 30) * 1000);
  options.onToken?.(first);
  const room = await start({ roomId: first.room.id, clientToken: first.token, context: first.context });
  let over = false;
  const end = (reason: string, problem?: Problem): void => {
    if (over) return;
    over = true;
    options.onEnd?.(reason, problem);
  };
  const disconnected = new Promise<never>((_, reject) => {
    const told: Events["disconnected"] = (reason) => {
      end(reason);
      reject(new Error(reason));
    };
    room.on("disconnected", told);
  });
  disconnected.catch(() => undefined);
  void keep(room, first, options, () => over, end);
  // connect() stays pending when the room does not let us in: the event is what tells.
  await Promise.race([room.connect(), disconnected]);
  return room;
}

async function keep(
  room: Call,
  first: Answer,
  options: Options,
  over: () => boolean,
  end: (reason: string, problem?: Problem) => void,
): Promise<void> {
  let expires = Date.now() + first.expires_in * 1000;
  for (let answer = first; ; ) {
    await sleep(answer.refresh_after * 1000);
    if (over()) return;
    try {
      answer = await ask(options, expires);
    } catch (error) {
      // Nothing more can be done for the call: it goes on while its token lives, and the SDK tells of its end.
      if (!(error instanceof Refused) || ["again", "report"].includes(reaction(error.problem))) return;
      end(error.problem.code, error.problem);
      return void room.disconnect();
    }
    if (over()) return;
    expires = Date.now() + answer.expires_in * 1000;
    options.onToken?.(answer);
    // Not awaited: the SDK's promise never settles when the token is refused.
    void room.updateClientToken(answer.token);
  }
}
