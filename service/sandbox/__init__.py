"""A stand-in for Telnyx Video on this machine: run everything without an account, and fail it on purpose.

``world`` is a pretend account (state and rules, no HTTP), ``tokens`` its client tokens, ``faults`` what can go wrong on
demand, ``record`` what was asked, ``idp`` a demo identity provider, ``api`` the HTTP face, ``server`` the sockets.

What it does not do: media of any kind, the signalling of the client SDKs, PSTN, billing, or anything of the Telnyx
API outside of Video rooms. Simulated participants join with a client token and are dropped when it expires; that
is all they do. What the documentation leaves open is a switch (``/sandbox/switches``), by default at the safest answer.

It imports nothing else of ``service``, so that the client and its stand-in cannot share a misunderstanding. It must
never be reachable by anybody but its developer: it hands out tokens for the asking.
"""
