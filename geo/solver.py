"""HiGHS as it is used here: silent, asked to stop now and then, and never ignored when it refuses.

The solver tells by a status whether it took a programme (Huangfu & Hall 2018); one that it
refuses would otherwise be solved as if it were empty. Caveat: an exception must not cross
the solver, so a caller's wish to stop is kept, and raised when the solver has stopped.
"""

from __future__ import annotations

from collections.abc import Callable

import highspy

from geo.errors import RasdError


class Silent(highspy.Highs):
    """HiGHS that writes nothing: else it greets on standard output, where a command's JSON goes."""

    def enableCallbacks(self) -> None:
        # Called by the constructor, and the first to write: there is no earlier place to say so.
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


def passed(highs: highspy.Highs, lp: highspy.HighsLp) -> None:
    """Give the solver its programme.

    Raises
    ------
    RasdError : it refuses the programme.
    """
    _require(highs.passModel(lp))


def run(highs: highspy.Highs, tick: Callable[[], None] | None = None) -> None:
    """Solve; ``tick`` is asked while it goes on, and what it raises is raised here.

    Raises
    ------
    RasdError : the solver failed.
    """
    stopped: list[BaseException] = []

    def ask(event: highspy.HighsCallbackEvent) -> None:
        if tick is None or stopped:
            event.interrupt(bool(stopped))
            return
        try:
            tick()
        except BaseException as error:
            stopped.append(error)
            event.interrupt()

    if tick is not None:
        for signal in (highs.cbMipInterrupt, highs.cbSimplexInterrupt, highs.cbIpmInterrupt):
            signal += ask
    status = highs.run()
    if stopped:
        raise stopped[0]
    _require(status)


def _require(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise RasdError("HiGHS refused the choice; please report this with the terms used.")
