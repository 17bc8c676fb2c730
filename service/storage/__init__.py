"""The only package that speaks Redis. It deals in bytes; what the bytes mean is decided by the rules above it.

``redis_url`` says what ``REDIS_URL`` may name, ``servers`` makes redis-py's own clients for it (``sentinels`` finds the
master), ``scripts`` is what is sent, ``round_trip`` sends it, ``redis_client`` is the one door, ``availability`` tells
a short fault from an outage. ``redis_keys`` names keys, ``records`` is what comes back. Then the stores, by what they
keep: ``room_store`` (one room: access, tokens, leases) with ``fallback`` for an outage and ``removals`` that it obeys,
``directory_store``, ``meeting_store``, ``event_store``, ``revocation_store``, ``cooldown_store``, ``share_store``,
``outcome_store``.

Rules for editors: *cache* (tokens, leases, counters, cool-downs) may vanish and has a TTL; *state* (rooms, members,
bans, revocations) must not and has none, and is written by ``run_replicated`` where it must outlive a server.
Everything of one room shares one hash tag. Keys hold fixed prefixes and hex only. What is raised is
``StoreUnavailable`` (docs/decisions/redis.md).
"""
