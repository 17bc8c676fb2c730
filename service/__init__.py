"""The token service for Telnyx Video rooms: the back end that turns a signed-in user into a client token.

Reading order: ``errors`` (what can go wrong and what callers see), ``settings``, ``identity`` (who is asking),
``rooms`` (may they enter), ``tokens`` (the life of a client token), then ``store`` and ``telnyx`` (the two gateways),
``routes`` (the HTTP face) and ``app`` (how it is wired).
Routes ask, rules decide, gateways talk, ``app`` wires: imports run one way, and ``tests/test_house.py``
holds them to it.
"""
