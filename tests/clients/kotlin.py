"""The Android library, the example of its README and the tests' own programs, compiled for a plain JVM.

The Kotlin compiler comes from the npm registry. The classes in ``android/stubs`` play what the library needs of
Android, and what the example needs of the SDK.
"""

from __future__ import annotations

import re
import shutil
from typing import Final

from tests.clients.packages import BUILD, HERE, ROOT, NotHere, installed, once, run

LIBRARY: Final = ROOT / "clients" / "android"
HOME: Final = HERE / "android"
_JARS: Final = ("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "kotlin-compiler")
_COMPILER: Final = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"


def compiled() -> str:
    """The class path. Raises ``NotHere``."""
    if shutil.which("java") is None:
        raise NotHere("there is no Java here: apt-get install default-jre-headless")
    libraries = installed(HOME) / "kotlin-compiler" / "lib"
    path = ":".join(str(libraries / f"{jar}.jar") for jar in _JARS)
    sources = [*sorted((LIBRARY / "src").rglob("*.kt")), *sorted(HOME.glob("*.kt")), *sorted(HOME.glob("stubs/*.kt"))]
    made = BUILD / "android.jar"
    with once("android", [*sources, LIBRARY / "README.md", HOME / "package-lock.json"]) as needed:
        if needed:
            readme = (LIBRARY / "README.md").read_text("utf-8")
            (example,) = re.findall(r"^```kotlin\n(package .*?)^```", readme, re.MULTILINE | re.DOTALL)
            (BUILD / "Meeting.kt").write_text(example, "utf-8")
            compiler = ["java", "-Xmx512m", "-cp", str(libraries / "kotlin-compiler.jar"), _COMPILER]
            options = ["-no-reflect", "-no-stdlib", "-Werror", "-jvm-target", "11", "-cp", path, "-d", str(made)]
            run([*compiler, *options, str(BUILD / "Meeting.kt"), *map(str, sources)], seconds=600)
    return f"{path}:{made}"
