"""Child processes that end with their parent, even when it is killed with SIGKILL.

Standard library only. Used for Postgres (`proxy.demo.postgres`) and for the proxy
itself (`proxy.demo.run`). Next: `proxy.demo.privileges`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from proxy.demo.privileges import Account

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str],
    ends_on: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log`.

    Of its own, so that Ctrl-C in the terminal reaches only us: the order in which
    things stop is ours. `ends_on` is what the kernel sends it if we die first (Linux).
    Call it from a thread that lives as long as the child should: the kernel watches
    the *thread* that forked (prctl(2), PR_SET_PDEATHSIG).
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
            preexec_fn=_die_with_parent(ends_on),  # noqa: PLW1509 - only prctl and getppid in there
            pass_fds=tuple(pass_fds),
            **(account.popen_arguments() if account else {}),
        )


def _die_with_parent(ends_on: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec, after its uid was switched.

    After, because a change of uid clears the death signal again; subprocess runs
    preexec_fn last.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(ends_on), 0, 0, 0)
            if os.getppid() != parent:  # it died before prctl: no signal will come
                os._exit(1)

    return before_exec


def stop(
    process: subprocess.Popen[bytes],
    *steps: tuple[signal.Signals, float],
) -> bool:
    """End a child: send each signal and wait its seconds, at last SIGKILL.

    Returns whether one of the steps was enough.
    """
    for number, patience_s in steps:
        if process.poll() is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    if process.poll() is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own, see spawn
    process.wait()
    return False


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for the message about a child that died."""
    try:
        text = log.read_text("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-count:])
