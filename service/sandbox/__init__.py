"""A stand-in for Telnyx Video on this machine: run everything without an account, and make it fail on purpose.

Reading order: ``resources`` (the five kinds of objects), ``account`` (its tables); ``rooms``, ``client_tokens``,
``sessions``, ``recordings``, ``compositions`` (the rules of each), ``world`` (all rules together, no HTTP); ``fields``,
``lists``, ``v2`` (the 25 operations), ``exchange`` (what happens around every request), ``control`` (the calls for
tests), ``api`` (the Flask application), ``server`` (the socket). Beside these: ``faults``, ``spoil`` and ``wire``,
``ratelimit``, ``record``, ``webhooks``, ``idp``, ``signalling`` (for client SDKs). ``about`` says what the sandbox does
and does not do.

What the documentation leaves open is a switch (``switches``), by default at the safest answer.

It imports nothing else of ``service``, so that the client and its stand-in cannot share a misunderstanding. Only its
developer may be able to reach it: it hands out tokens for the asking.
"""
