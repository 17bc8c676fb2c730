"""Makes the test run's own sockets cooperative, as a worker's are: ``pytest -p tests.cooperative -m cooperative``.

Tests that call our clients of Redis, Telnyx and identity providers in process need it: ``service.clock.time_limit`` can
interrupt nothing else. It has to come before anything opens a socket, and xdist does not work under it.
"""

from gevent import monkey

monkey.patch_all()

# For tests/web/test_fuzz.py.
pytest_plugins = ["schemathesis.pytest.plugin"]
