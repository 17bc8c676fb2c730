"""The HTTP face. Routes read a request, ask one rule, and write its answer; they decide nothing.

``services`` is what routes may ask, ``auth`` who may ask, ``request_lifecycle`` what every request and answer has,
``request_body`` and ``openapi`` what a request may say, ``problems`` the only place where an exception becomes HTTP,
``cors`` which web pages may read answers, ``resources`` what calls about records share (``ETag``, pages of lists, user
ids), ``idempotency`` what ``Idempotency-Key`` does. ``token_endpoint`` answers the token call, before the framework,
with ``token_response``. The other calls: ``join``, ``meetings``, ``admin``, ``gateway``, ``callbacks``,
``ops``; and ``pages`` for browsers.

Rules for editors: ``openapi.yaml`` is the truth about paths, bodies and queries, and a view is called by the snake case
of its ``operationId``; every blueprint is an ``auth.GatedBlueprint``; no view turns an exception of ``service.errors``
into an answer.
"""
