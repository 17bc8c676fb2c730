"""Processes that end with us: on Linux the kernel sees to it, elsewhere our own care does."""

import contextlib
import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1
STOP_SECS: Final = 35.0


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    output: IO[str] | IO[bytes] | int | None = None,
    cwd: Path | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """A child in a process group of its own, so that Ctrl-C reaches us alone and we decide who ends when.

    It inherits the ``descriptors``.
    """
    return subprocess.Popen(  # noqa: S603 - our own commands
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 - called before any thread of ours exists
        cwd=cwd,
        pass_fds=descriptors,
    )


def stop(child: subprocess.Popen[bytes], seconds: float = STOP_SECS) -> int:
    """End a child: asked first, killed if it does not listen. Answers its exit code."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def _die_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    # Looked up before the fork: the child must not allocate or import.
    prctl = ctypes.CDLL(None).prctl

    def apply() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return apply
