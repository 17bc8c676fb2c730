"""Running meetings: who is in, who of them is proven, and what moderators do about it.

Webhooks (``webhook_events``: signatures and what they say) come in and take effect by ``reconciler``, which does piece
by piece what there is to do: apply events to the ``attendance`` (a pure value, with the count by which a full room
refuses), compare it with Telnyx's own list, check newcomers. ``participants`` are those who are in as Telnyx says, with
who they are by their tickets. ``moderation`` removes, mutes, ends, bans, and lets in who waits at the door.

An event has the same effect however often and in whatever order it is applied.
"""
