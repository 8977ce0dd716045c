"""Signals are handled whatever thread the kernel hands them to.

CPython runs a signal's handler in the main thread only, when that next executes bytecode. The main thread of a
server waits on a lock for as long as the process lives. The kernel usually interrupts it, but on a busy machine
it may pick another thread for the signal, one of the server's own; then nothing wakes the main thread and the
signal is lost. So no thread takes these signals but one, which waits for them and calls the handler.
"""

import os
import signal
import threading
from collections.abc import Set


def block(numbers: Set[signal.Signals]) -> None:
    """Let `numbers` wait. Call it before other threads exist: they, and child processes, inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def receive(numbers: Set[signal.Signals]) -> None:
    """Let a thread wait for `numbers` and call, in itself, the handler that is then set for the one that came.

    Call it in the main thread, before other threads exist or after `block`. A child process does not inherit
    the thread: it calls this itself.
    """
    block(numbers)
    threading.Thread(target=_hand_on, args=(numbers,), name="signals", daemon=True).start()


def _hand_on(numbers: Set[signal.Signals]) -> None:
    while True:
        number = signal.sigwait(numbers)
        handler = signal.getsignal(number)
        if callable(handler):
            handler(number, None)
        elif handler is signal.SIG_DFL:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)
