"""The page's scripts and the content-security policy that lets exactly these run."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup


@cache
def digest(text: str) -> str:
    """The source expression that allows a script with this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


@dataclass(frozen=True)
class Scripts:
    """`head` runs before the page is painted, `body` after it is read; `libraries` lie in it as
    inert text until `body` puts one into a script element, which the policy then knows by hash."""

    head: str
    body: str
    libraries: Mapping[str, str]

    @property
    def policy(self) -> str:
        """Nothing is loaded from anywhere; only these scripts run. Pictures are data URIs."""
        sources = " ".join(
            f"'{digest(text)}'" for text in (self.head, self.body, *self.libraries.values())
        )
        return (
            f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
            f"img-src data:; base-uri 'none'; form-action 'none'"
        )

    def text(self, name: str) -> Markup:
        """A script's text as it stands between its tags."""
        return inert({"head": self.head, "body": self.body, **self.libraries}[name])


@cache
def inert(text: str) -> Markup:
    """`text` as it is, for between script tags.

    Raises: ValueError where it would end its element or be read as other text than was hashed.
    """
    if "</script" in text.lower() or "<!--" in text or "\r" in text:
        raise ValueError("a script holds text that would end or change its element")
    return Markup(text)


def island(data: Any) -> Markup:
    """`data` as JSON that cannot end its script element or be read as HTML; NaN is refused."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
