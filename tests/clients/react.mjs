/**
 * A component that uses the hook, in StrictMode, which mounts everything twice. Prints what it showed, one state after the
 * other, and how many keepers asked for what.
 */
import { StrictMode, act, createElement } from "react";
import { create } from "react-test-renderer";
import { useTokenKeeper } from "video-token-client/react";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const complaints = [];
// The renderer for tests says of itself that it will be replaced.
console.error = (...said) => said[0].startsWith("react-test-renderer is") || complaints.push(String(said[0]));

const shown = [];
const asked = [];
// Time enough for another bearer before the first renewal, on a busy machine too.
const life = { expires_in: 60, refresh_after: 0.5, context: "{}", source: "issued" };
const problem = { code: "upstream_unavailable", title: "?", status: 503, retryable: true };
const answers = {
  standup: [{ token: "first" }, problem, { token: "second", refresh_after: 60 }],
  review: [{ ...problem, status: 403, code: "banned", retryable: false }],
};

function fetch(url, { headers, signal }) {
  signal.throwIfAborted();
  const room = url.split("/").at(-2);
  asked.push([room, headers.Authorization]);
  const answer = answers[room].shift();
  const status = answer.status ?? 200;
  const type = status === 200 ? "application/json" : "application/problem+json";
  const body = status === 200 ? { ...life, room: { id: "id" }, ...answer } : answer;
  return Promise.resolve(new Response(JSON.stringify(body), { status, headers: { "Content-Type": type } }));
}

function Call({ room, bearer }) {
  const options = room && { service: "https://video.example.com", room, getBearer: () => bearer, fetch };
  const { status, answer, trouble, ended } = useTokenKeeper(options);
  const state = [status, answer?.token ?? null, trouble?.problem.code ?? null, ended?.reason ?? null];
  if (JSON.stringify(state) !== JSON.stringify(shown.at(-1))) shown.push(state);
  return null;
}

const element = (props) => createElement(StrictMode, null, createElement(Call, props));
const until = async (condition) => {
  while (!condition()) await act(() => new Promise((done) => setTimeout(done, 5)));
};

let root;
await act(async () => (root = create(element({ room: null, bearer: "one" }))));
await act(async () => root.update(element({ room: "standup", bearer: "one" })));
await until(() => shown.at(-1)[1] === "first");
await act(async () => root.update(element({ room: "standup", bearer: "two" })));
await until(() => shown.at(-1)[1] === "second");
await act(async () => root.update(element({ room: "review", bearer: "two" })));
await until(() => shown.at(-1)[0] === "ended");
await act(async () => root.unmount());
const atTheEnd = asked.length;
await new Promise((done) => setTimeout(done, 200));
process.stdout.write(JSON.stringify({ shown, asked, later: asked.length - atTheEnd, complaints }));
