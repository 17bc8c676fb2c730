"""Telnyx's own 25 operations for our callers: authenticated by their bearers, authorised per room.

``operations`` says of each who may call it, ``resolver`` finds rooms and decides who moderates them, ``filtering``
keeps out of answers what was not asked for, and an administrator's lists within the directory, ``room_handlers`` and
``token_handlers`` are the operations that this service does itself, ``proxy`` is the one way through for all of them.

Rules for editors:
* requests have been held against ``openapi.yaml`` when they get here: only documented members exist;
* no id of a caller is used before it is known to belong to a room that this caller moderates; what does not is 404,
  and nothing but the look-up has reached Telnyx; callers who moderate nothing cause no look-up;
* what an answer holds beyond the room that was asked for is dropped.
"""
