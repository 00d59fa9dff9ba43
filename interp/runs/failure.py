"""How a run failed, as its page says it: the error, what was being done, and the command that goes on."""

import traceback

from interp.errors import InterpError
from interp.report.result import Failure
from interp.runs.order import Order
from interp.visible import one_line, placeless

# Of a failure's message and of its traceback as the page shows them.
_LONGEST_MESSAGE, _LONGEST_TRACEBACK = 2000, 12_000


def failure(order: Order, step: str, error: BaseException) -> Failure:
    """The failure of this run at this step; an error that nobody foresaw has its traceback."""
    message = _message(error)
    if not isinstance(error, InterpError):
        message = f"{message}\n\n{_traceback(error)}"
    kind = type(error).__name__
    return Failure(kind, placeless(message), step=placeless(step), resume=order.command)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = one_line(error)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _traceback(error: BaseException) -> str:
    """How it came to the error; of a long one both ends."""
    lines = "".join(traceback.TracebackException.from_exception(error, limit=-30).format())
    if len(lines) > _LONGEST_TRACEBACK:
        half = _LONGEST_TRACEBACK // 2
        lines = f"{lines[:half]}\n…\n{lines[-half:]}"
    return lines
