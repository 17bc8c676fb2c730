"""Who is asking: from an Authorization header to a ``Principal``, and which sign-ins are over.

Read ``issuers`` first (whom we believe, in what; ``setting`` says how such a table is read), then ``verifier``, the
only module that makes principals. ``jws`` checks the syntax before any cryptography, ``claims`` finds what a verified
bearer says, ``refusal`` is why one is refused. Keys come from ``key_sources``: those of the issuer table, or sets that
are fetched in the background; ``keys`` tells which of them are fit. ``revocations`` ends sign-ins by an administrator's
word, ``backchannel_logout`` by that of the identity provider.

A bearer is good, certainly bad (401), or nobody can tell now (503); our own trouble is never a 401.
"""
