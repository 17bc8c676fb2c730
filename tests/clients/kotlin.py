"""The Android library, compiled with the Kotlin compiler of the npm registry against stand-ins for Android's classes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.clients.packages import BUILD, HERE, ROOT, NotHere, installed, once, run

LIBRARY: Final = ROOT / "clients" / "android" / "src" / "main" / "kotlin"
HOME: Final = HERE / "android"


def compiled(name: str, *more: Path) -> str:
    """A class path with the library, the stand-ins and ``more`` sources. Raises ``NotHere``."""
    if shutil.which("java") is None:
        raise NotHere("there is no Java here: apt-get install default-jre-headless")
    libraries = installed(HOME) / "kotlin-compiler" / "lib"
    needed = [libraries / f"{jar}.jar" for jar in ("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "kotlin-compiler")]
    path = ":".join(map(str, needed))
    sources = [*sorted(LIBRARY.rglob("*.kt")), *sorted((HOME / "stubs").glob("*.kt")), *more]
    made = BUILD / f"{name}.jar"
    with once(name, [*sources, HOME / "package-lock.json"]) as wanted:
        if wanted or not made.exists():
            _compile(libraries, path, sources, made)
    return f"{path}:{made}"


def _compile(libraries: Path, path: str, sources: Sequence[Path], made: Path) -> None:
    compiler = ["java", "-Xmx512m", "-cp", str(libraries / "kotlin-compiler.jar")]
    options = ["-no-reflect", "-no-stdlib", "-Werror", "-jvm-target", "11", "-cp", path, "-d", str(made)]
    run([*compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *options, *map(str, sources)], seconds=300)
