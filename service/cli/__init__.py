"""The command line: ``serve`` for production, ``dev`` for a laptop, and what operators need around them.

``serve`` supervises gunicorn, which ``gunicorn.conf.py`` configures, and drains before it stops: ``stop_signals`` tell
it to, ``listener`` turns newcomers away then. ``silent_connections`` ends callers who say nothing, ``turns`` keeps
those apart who come at once. ``dev`` (``make run``) starts everything on this machine, on its ``ports``, with the
server of ``valkey``; ``children`` sees to it that processes end with us. ``check`` says whether an environment would
work, ``mint`` makes development bearers, ``apply`` (and ``export``) keeps the directory in a ``rooms_file``. A command
that cannot go on has ``failed``.

Commands that talk to servers run under gevent, as the workers do (``service.__main__``).
"""
