"""Names of attention heads as the views of a page share them: pages are drawn from stored text."""

import re

HEAD = re.compile(r"(?<![0-9A-Za-z])L(\d{1,4})H(\d{1,4})(?![0-9])")


def spelt(layer: object, head: object) -> str:
    """The head's name, as everywhere on a page."""
    return f"L{layer}H{head}"


def head_name(text: str) -> str:
    """The one head that `text` names, as L5H1; empty where it names none or several."""
    found = {match.group() for match in HEAD.finditer(text)}
    return found.pop() if len(found) == 1 else ""
