"""The token service for Telnyx Video rooms: the back end that turns a signed-in user into a client token.

Reading order: ``errors`` (what can go wrong and what callers see), ``identity`` (who is asking), ``rooms`` (may they
enter), ``tokens`` (the life of a client token), ``meetings`` (who is in), ``gateway`` (Telnyx's own API per user);
under them ``storage`` and ``telnyx`` (Redis and upstream), over them ``web`` (the HTTP face), ``app`` (how it is wired)
and ``cli`` (how it is run). ``config`` is the environment, ``observability`` what operators see; ``sandbox`` stands in
for Telnyx and imports nothing of all this.

Imports run one way, floor by floor, and ``tests/test_house.py`` holds them to it. Each package says what it owns and in
which order to read it.
"""
