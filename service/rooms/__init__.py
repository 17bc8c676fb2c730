"""Which rooms there are, and who may be in them as what.

Read ``models`` first (rooms, members and bans as records; ``aliases`` says what rooms may be called), then ``access``,
which is pure: who may enter what, as what, now; whoever needs to know asks there. ``directory`` lists and changes rooms
and members (``listings`` is what a user is shown of them, ``room_writer`` writes the rooms), ``provisioning`` makes
them at Telnyx, ``housekeeping`` deletes what nobody uses. ``invites`` and ``guests`` let in people without an account.

The directory changes by administrators, templates and ``apply`` only, never by an answer of Telnyx.
"""
