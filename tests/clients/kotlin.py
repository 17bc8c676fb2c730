"""The Android library, the example of its README and the tests' own programs, compiled for a plain JVM.

The Kotlin compiler and OkHttp come from the npm registry, kotlinx-serialization from a wheel that has it beside other
things. The classes in ``android/stubs`` play what the library needs of Android, and what the example needs of the SDK.
"""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.clients.packages import BUILD, HERE, ROOT, NotHere, installed, once, run

LIBRARY: Final = ROOT / "clients" / "android"
HOME: Final = HERE / "android"
_JARS: Final = ("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "kotlin-compiler")
_COMPILER: Final = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"


_WHEEL: Final = (
    "kotlin-jupyter-kernel==0.19.0.944 --hash=sha256:dc654a426a28e6621aeb0bd7772d268a9a877aabae4a17b73383752a416281a3"
)
_SERIALIZATION: Final = ("kotlinx-serialization-core-jvm-1.9.0.jar", "kotlinx-serialization-json-jvm-1.9.0.jar")


def compiled() -> str:
    """The class path. Raises ``NotHere``."""
    libraries = _libraries()
    path = ":".join(str(libraries / f"{jar}.jar") for jar in _JARS)
    sources = [*sorted((LIBRARY / "src").rglob("*.kt")), *sorted(HOME.glob("*.kt")), *sorted(HOME.glob("stubs/*.kt"))]
    made = BUILD / "android.jar"
    with once("android", [*sources, LIBRARY / "README.md", HOME / "package-lock.json"]) as needed:
        if needed:
            readme = (LIBRARY / "README.md").read_text("utf-8")
            (example,) = re.findall(r"^```kotlin\n(package .*?)^```", readme, re.MULTILINE | re.DOTALL)
            (BUILD / "Meeting.kt").write_text(example, "utf-8")
            _compile([BUILD / "Meeting.kt", *sources], path, made, "-Werror")
    return f"{path}:{made}"


def generated(sources: Sequence[Path], made: Path) -> str:
    """The class path of a generated client that uses OkHttp and kotlinx-serialization. Raises ``NotHere``."""
    libraries = _libraries()
    okhttp = (HOME / "node_modules" / "allure-commandline" / "dist" / "plugins" / "jira-plugin" / "lib").glob("ok*.jar")
    path = ":".join(map(str, [libraries / "kotlin-stdlib.jar", *okhttp, *_serialization()]))
    _compile(sources, path, made, f"-Xplugin={libraries / 'kotlinx-serialization-compiler-plugin.jar'}")
    return f"{path}:{made}"


def _libraries() -> Path:
    if shutil.which("java") is None:
        raise NotHere("there is no Java here: apt-get install default-jre-headless")
    return installed(HOME) / "kotlin-compiler" / "lib"


def _compile(sources: Sequence[Path], path: str, made: Path, *more: str) -> None:
    compiler = ["java", "-Xmx900m", "-cp", str(_libraries() / "kotlin-compiler.jar"), _COMPILER]
    options = ["-no-reflect", "-no-stdlib", "-jvm-target", "11", "-cp", path, "-d", str(made), *more]
    run([*compiler, *options, *map(str, sources)], seconds=600)


def _serialization() -> list[Path]:
    jars = [BUILD / name for name in _SERIALIZATION]
    with once("serialization", [Path(__file__)]) as needed:
        if needed:
            (BUILD / "wheel.txt").write_text(_WHEEL, "ascii")
            options = ("--require-hashes", "--no-deps", "--dest", str(BUILD), "-r", str(BUILD / "wheel.txt"))
            try:
                run([sys.executable, "-m", "pip", "download", "--quiet", *options])
            except AssertionError as why:
                raise NotHere(f"kotlinx-serialization cannot be had here: {why}") from None
            (wheel,) = BUILD.glob("kotlin_jupyter_kernel-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for jar in jars:
                    jar.write_bytes(archive.read(f"run_kotlin_kernel/jars/{jar.name}"))
            wheel.unlink()
    return jars
