"""How much of the house one token call passes through: ``python -m tests.call_count`` prints calls, files and records.

Counted in process, by the interpreter's own profiling hook, against a real Redis and the sandbox: calls of functions of
``service``, the files they are in, and the data classes that are made on the way.
"""

from gevent import monkey

monkey.patch_all()

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from service.app import create_app
from service.config.settings import Settings
from tests.processes import Sandbox, Valkey, environment, fresh, mint

ROOT = Path(__file__).parents[1] / "service"


class Count:
    """What was counted: calls by function, and the data classes that were made."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.records: Counter[str] = Counter()

    def profile(self, frame: FrameType, event: str, _arg: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        # Comprehensions are calls in older versions of Python only.
        if code.co_filename.startswith(str(ROOT)) and not code.co_name.startswith(
            ("<listcomp", "<genexpr", "<setcomp", "<dictcomp")
        ):
            self.calls[str(Path(code.co_filename).relative_to(ROOT)), code.co_qualname] += 1
        made = frame.f_locals.get("self")
        if code.co_name == "__init__" and is_dataclass(made) and type(made).__module__.startswith("service."):
            self.records[type(made).__qualname__] += 1

    @property
    def files(self) -> set[str]:
        return {file for file, _ in self.calls}

    def during(self, work: Callable[[], Any]) -> Any:
        """The result of ``work``, counted in this greenlet and in those that it starts."""
        sys.setprofile(self.profile)
        try:
            return work()
        finally:
            sys.setprofile(None)

    def told(self, name: str) -> str:
        rows = [f"{name}: {self.calls.total()} calls, {len(self.files)} files, {len(self.records)} kinds of records"]
        rows += [f"  {calls:3} {file} {function}" for (file, function), calls in sorted(self.calls.items())]
        return "\n".join([*rows, "  records: " + ", ".join(sorted(self.records))])


def ask(app: Flask, method: str, path: str, user: str, **options: Any) -> int:
    """The status of a call to the WSGI application."""
    environ = EnvironBuilder(
        path, method=method, headers=[("Authorization", f"Bearer {user}")], **options
    ).get_environ()
    statuses: list[str] = []

    def start(status: str, _headers: Any, _info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    app.wsgi_app(environ, start)
    return int(statuses[0].split()[0])


def count(valkey: Valkey, sandbox: Sandbox) -> tuple[Count, Count]:
    """A cold token, and then a hit."""
    app = create_app(Settings.from_env(environment(sandbox, valkey.url)))
    alias, admin, user = fresh(), mint("ada", scope="rooms:admin"), mint("alice")
    room = {"access": [{"authenticated": True, "role": "participant"}]}
    assert ask(app, "PUT", f"/v1/admin/rooms/{alias}", admin, json=room) == 201
    path, cold, hit = f"/v1/rooms/{alias}/token", Count(), Count()
    assert cold.during(lambda: ask(app, "POST", path, user)) == 200
    ask(app, "POST", path, user)
    assert hit.during(lambda: ask(app, "POST", path, user)) == 200
    return cold, hit


def main() -> None:
    """Print both."""
    valkey, sandbox = Valkey(), Sandbox()
    try:
        cold, hit = count(valkey, sandbox)
    finally:
        sandbox.stop()
        valkey.stop()
    print(cold.told("a cold token"))
    print(hit.told("a hit"))


if __name__ == "__main__":
    main()
