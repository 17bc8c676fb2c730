// The thirty lines in Node: Express, jsonwebtoken, one Redis GET, JSON. No permission, no sealing, no renewal.
const express = require("express");
const jwt = require("jsonwebtoken");
const Redis = require("ioredis");
const serve = require("./serve");

const { AUTH_HS256_SECRET, AUTH_AUDIENCE, AUTH_ISSUER, BENCH_ROOM_ID, REDIS_URL, TELNYX_API_KEY, TELNYX_API_URL } = process.env;

serve(() => {
  const app = express();
  const cache = new Redis(REDIS_URL.replace("unix://", ""));
  const rules = { algorithms: ["HS256"], audience: AUTH_AUDIENCE, issuer: AUTH_ISSUER };

  app.post("/v1/rooms/:alias/token", async (request, response) => {
    let claims;
    try {
      claims = jwt.verify((request.get("Authorization") ?? "").replace("Bearer ", ""), AUTH_HS256_SECRET, rules);
    } catch {
      return response.status(401).json({ error: "invalid token" });
    }
    const key = `token:${request.params.alias}:${claims.sub}`;
    const cached = await cache.get(key);
    if (cached !== null) return response.json(JSON.parse(cached));
    const made = await fetch(`${TELNYX_API_URL}/rooms/${BENCH_ROOM_ID}/actions/generate_join_client_token`, {
      method: "POST",
      headers: { Authorization: `Bearer ${TELNYX_API_KEY}`, "Content-Type": "application/json" },
      body: "{}",
    });
    const { data } = await made.json();
    const answer = { token: data.token, expires_at: data.token_expires_at };
    await cache.set(key, JSON.stringify(answer), "EX", 300);
    return response.json(answer);
  });
  return app;
});
