/* A whole app: sign in, join, show what the keeper tells, and camera pictures where the Telnyx SDK is there. */
import { TokenError, TokenKeeper, reaction } from "video-token-client";
import { joinRoom } from "video-token-client/telnyx";

const CAMERA = "camera";
const byId = (id) => document.getElementById(id);
const form = document.querySelector("form");
const { service, sdk } = await (await fetch("/config")).json();
let leave = () => {};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { user, room } = Object.fromEntries(new FormData(form));
  void call(user, room);
});
byId("leave").addEventListener("click", () => leave());

async function call(user, room) {
  const keeper = new TokenKeeper({ service, room, getBearer: () => bearerOf(user) });
  const over = (why) => {
    byId("videos").replaceChildren();
    show(why, { joined: false });
  };
  let tokens = 0;
  keeper.on("token", (answer) => {
    tokens += 1;
    byId("trouble").textContent = "";
    show(`In ${answer.room.alias} as ${answer.participant.role}, with token ${tokens}.`, { joined: true });
    count(answer.expires_in);
    log(`token ${tokens} (${answer.source}), lives ${answer.expires_in} s, next in ${answer.refresh_after} s`);
  });
  keeper.on("trouble", ({ problem, expiresIn, retryIn }) => {
    const goesOn = `The call goes on for ${Math.round(expiresIn)} s at least.`;
    byId("trouble").textContent = reaction(problem) === "wait" ? `${problem.title}.` : `Trouble: ${problem.title}. ${goesOn}`;
    log(`trouble: ${problem.code}, next try in ${retryIn.toFixed(1)} s`);
  });
  keeper.on("ended", ({ reason, problem }) => {
    log(`ended: ${reason}, ${problem.code}`);
    over(`${problem.title} (${reaction(problem)}).`);
  });
  leave = () => {
    keeper.stop();
    over("You have left.");
  };
  show(`Joining ${room} ...`, { joined: true });
  try {
    await (sdk ? meet(keeper, over) : keeper.start());
  } catch (error) {
    // What the keeper ended by has been told already.
    if (!(error instanceof TokenError)) over(String(error));
  }
}

/** With the vendor's SDK: our camera is published, those of others are shown. */
async function meet(keeper, over) {
  // Bundlers put this in for a browser; it is all that the SDK's module lacks.
  globalThis.process = { env: { NODE_ENV: "production" } };
  const { initialize } = await import("@telnyx/video");
  const room = await joinRoom(initialize, keeper);
  const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }).catch(() => null);
  leave = () => void room.disconnect();
  room.on("disconnected", (reason) => {
    for (const track of camera?.getTracks() ?? []) track.stop();
    over(reason === "user_initiated" ? "You have left." : `The call has ended (${reason}).`);
  });
  room.on("stream_published", (who, key) => {
    if (who !== room.getLocalParticipant().id) void room.addSubscription(who, key, { audio: true, video: true });
  });
  room.on("subscription_started", (who, key) => {
    const { audioTrack, videoTrack } = room.getParticipantStream(who, key);
    picture(who, new MediaStream([audioTrack, videoTrack].filter(Boolean)));
  });
  room.on("participant_left", (who) => byId(who)?.remove());
  if (camera === null) return;
  picture("You", camera, { muted: true });
  await room.addStream(CAMERA, { audio: camera.getAudioTracks()[0], video: camera.getVideoTracks()[0] });
}

async function bearerOf(user) {
  const answer = await fetch(`/bearer?user=${user}`);
  if (!answer.ok) throw new Error("The sandbox does not answer");
  return (await answer.text()).trim();
}

function picture(who, stream, { muted = false } = {}) {
  const video = Object.assign(document.createElement("video"), { autoplay: true, playsInline: true, muted });
  video.srcObject = stream;
  const figure = Object.assign(document.createElement("figure"), { id: who });
  figure.append(video, Object.assign(document.createElement("figcaption"), { textContent: who }));
  byId("videos").append(figure);
}

function show(status, { joined }) {
  byId("status").textContent = status;
  form.querySelector("button").disabled = joined;
  byId("leave").disabled = !joined;
  if (!joined) count(0);
}

let ticking;
function count(life) {
  clearInterval(ticking);
  const ends = performance.now() + life * 1000;
  const tick = () => (byId("life").value = Math.max(0, ends - performance.now()) / 1000);
  byId("life").max = life || 1;
  tick();
  if (life > 0) ticking = setInterval(tick, 200);
}

function log(text) {
  const time = new Date().toLocaleTimeString();
  byId("log").prepend(Object.assign(document.createElement("li"), { textContent: `${time} ${text}` }));
}
