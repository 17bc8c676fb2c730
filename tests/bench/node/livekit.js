// The smallest LiveKit token server: a token is signed for whoever asks, and nothing is checked, stored or called.
const express = require("express");
const { AccessToken } = require("livekit-server-sdk");
const serve = require("./serve");

const { BENCH_LIVEKIT_KEY, BENCH_LIVEKIT_SECRET } = process.env;

serve(() => {
  const app = express();

  app.post("/v1/rooms/:alias/token", async (request, response) => {
    const token = new AccessToken(BENCH_LIVEKIT_KEY, BENCH_LIVEKIT_SECRET, { identity: "somebody", ttl: "10m" });
    token.addGrant({ roomJoin: true, room: request.params.alias });
    response.json({ token: await token.toJwt() });
  });
  return app;
});
