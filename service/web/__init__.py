"""The HTTP face. Routes read a request, ask one rule, and write its answer; they decide nothing.

``services`` is what routes may ask, ``exchange`` what every request and answer has, ``gate`` who may ask, ``schema``
what a request may say, ``problems`` the only place where an exception becomes HTTP, ``cors`` which web pages may read
answers. ``join``, ``admin`` and ``ops`` are the calls.

Rules for editors:
* ``openapi.yaml`` is the truth about paths, bodies and queries: the name of a view function is the snake case of its
  ``operationId``, and a request is validated against the document before the view runs;
* every blueprint is a ``gate.GatedBlueprint``; a view of any other is refused;
* no view catches an exception of ``service.errors``.
"""
