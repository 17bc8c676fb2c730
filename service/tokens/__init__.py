"""Client tokens: what the service exists for.

Read ``models`` first (what is asked for, what is answered) and ``policy``, the pure rules of a token's life; then
``broker``, from a request to a token, and ``renewal``, the one piece of work that calls Telnyx and stores what it gets.
``single_flight`` lets callers who want the same token wait for one renewal. ``vault`` packs and seals
tokens for Redis, ``context`` is the text that goes with a token to the SDK.

Access is decided on every request, and again after every wait: what is kept are tokens, never permission.
"""
