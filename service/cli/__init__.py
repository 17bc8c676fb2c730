"""The command line's commands: ``serve`` for production, ``dev`` for a laptop, and what operators need around them."""
