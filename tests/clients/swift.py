"""The iOS library, the example of its README and the stories' program, compiled for the system of this machine.

The modules in ``ios/stubs`` play what the library needs of Apple's, and what the example needs of the SDK.
"""

from __future__ import annotations

import re
import shutil
from typing import Final

from tests.clients.packages import BUILD, HERE, ROOT, NotHere, once, run

LIBRARY: Final = ROOT / "clients" / "ios"
HOME: Final = HERE / "ios"
# Elsewhere what Apple's Foundation has is in two modules.
_NETWORKING: Final = ("-Xfrontend", "-import-module", "-Xfrontend", "FoundationNetworking")


def compiled() -> str:
    """The program that tells the stories. Raises ``NotHere``."""
    if shutil.which("swiftc") is None:
        raise NotHere("there is no Swift here: apt-get install swiftlang (Debian 13)")
    place = BUILD / "ios"
    sources, stubs = sorted((LIBRARY / "Sources").rglob("*.swift")), sorted((HOME / "stubs").iterdir())
    with once("ios", [*sources, *stubs, *HOME.glob("*.swift"), LIBRARY / "README.md"]) as needed:
        if needed:
            place.mkdir(exist_ok=True)
            for stub in stubs:
                _module(stub.stem, str(stub))
            _module("VideoTokenClient", *_NETWORKING, str(HOME / "Clocks.swift"), *map(str, sources))
            readme = (LIBRARY / "README.md").read_text("utf-8")
            (example,) = re.findall(r"^```swift\n(import Foundation.*?)^```", readme, re.MULTILINE | re.DOTALL)
            (place / "Meeting.swift").write_text(example, "utf-8")
            libraries = [f"-l{name}" for name in ("VideoTokenClient", *(stub.stem for stub in stubs))]
            _swiftc("-o", "stories", *libraries, "-L", ".", "Meeting.swift", str(HOME / "Stories.swift"))
    return str(place / "stories")


def _module(name: str, *sources: str) -> None:
    _swiftc("-emit-module", "-emit-library", "-static", "-module-name", name, "-o", f"lib{name}.a", *sources)


def _swiftc(*arguments: str) -> None:
    run(["swiftc", "-swift-version", "5", "-warnings-as-errors", "-I", ".", *arguments], cwd=BUILD / "ios", seconds=600)
