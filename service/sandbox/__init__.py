"""A stand-in for Telnyx Video on this machine: run everything without an account, and fail it on purpose.

Reading order: ``account`` (what there is), ``rooms``, ``grants``, ``sessions``, ``recordings``, ``compositions`` (the
rules of each), ``world`` (all of them together, no HTTP); ``filters``, ``paging``, ``operations``, ``v2`` (the 25
operations), ``signalling`` (what client SDKs speak), ``control`` (what a test asks), ``api`` (both faces of HTTP);
``webhooks``, ``idp``, ``faults``, ``spoil``, ``ratelimit``, ``record``; ``server`` (the sockets). ``about`` says what
it does and does not do.

What the documentation leaves open is a switch (``/sandbox/switches``), by default at the safest answer.

It imports nothing else of ``service``, so that the client and its stand-in cannot share a misunderstanding. It must
never be reachable by anybody but its developer: it hands out tokens for the asking.
"""
