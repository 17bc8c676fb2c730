"""What this process runs with: the environment as one frozen object, or all of its faults at once.

Read ``settings`` first: the table of variables, from which that of the documents is printed. ``parsers`` make values
of their texts. The issuer table among them is read by ``service.identity.issuers``, the URL of Redis by
``service.storage``.

Only ``service.app`` and ``service.cli`` know the settings; everybody else is handed values.
"""
