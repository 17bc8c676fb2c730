"""The only package that speaks Redis. It deals in bytes; what the bytes mean is decided by the rules above it.

``topology`` finds the servers, ``node`` talks to them, ``connection`` bounds time and sorts errors, ``keyspace`` builds
keys. ``rooms`` reads and writes what belongs to one room (permission and tokens), ``directory`` the lists of rooms and
templates, ``revocations`` which sign-ins are over, ``cooldowns`` what all replicas know of upstream's limits, and
``outage`` answers while Redis does not.

Rules for editors (DESIGN 8):
* *cache* (tokens, leases, counters, cool-downs) may vanish and has a TTL; *state* (rooms, members, bans, revocations)
  must not and has none: its ends are stored inside the values, and what must outlive a server is written by
  ``call_lasting``;
* everything of one room shares one hash tag, so that a hit is one script in one round trip;
* keys hold fixed prefixes and hex only: text chosen by users never steers a slot or a pattern;
* the one exception that leaves this package is ``StoreUnavailable``.
"""
