"""A signal is handled also when the kernel hands it to another thread than the main one."""

import signal
import subprocess
import sys

from devstack.schema import PROJECT
from tests.support.signals import wait_until_asleep

LOST = -1
WAITS_FOR_A_LOCK = """
import signal, threading
from service_kit import signals

stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
{receive}
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})  # the main thread's: the kernel takes another one
print("ready", flush=True)
stopped.wait()
"""


def code_after_sigterm(receive: str) -> int:
    """The exit code of a process whose main thread waits for a lock; LOST when it waits on."""
    command = [sys.executable, "-c", WAITS_FOR_A_LOCK.format(receive=receive)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        wait_until_asleep(process.pid)  # before that the main thread would notice by itself
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            return LOST


def test_a_signal_is_handled_whatever_thread_the_kernel_picks() -> None:
    assert code_after_sigterm("signals.receive({signal.SIGTERM})") == 0


def test_without_it_the_signal_would_be_lost() -> None:
    assert code_after_sigterm("") == LOST


def test_without_a_handler_the_signal_ends_the_process() -> None:
    unhandled = "signal.signal(signal.SIGTERM, signal.SIG_DFL); signals.receive({signal.SIGTERM})"
    assert code_after_sigterm(unhandled) == -signal.SIGTERM
