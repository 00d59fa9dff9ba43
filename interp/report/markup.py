"""The few marks that prose in a report may have: paragraphs, lists, `code`, **bold**."""

import re

from markupsafe import Markup, escape

from interp.visible import reveal

INLINE = re.compile(r"`([^`\n]+)`|\*\*([^*\n]+)\*\*")
LABEL = re.compile(
    r"(Method|Data|Metric|Units|Source|Sources|See|Limits|Control|Controls)\s{1,}(?=\S)"
)


def inline(text: str) -> Markup:
    """One run of prose as safe HTML."""
    text = reveal(text)
    parts: list[Markup] = []
    end = 0
    for found in INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        code, bold = found.groups()
        shown = Markup("<code>{}</code>") if code else Markup("<strong>{}</strong>")
        parts.append(shown.format(code or bold))
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


# A study that is named under See is looked for in the index: it is there whether it was run or not.
STUDY = re.compile(r"<code>([a-z][a-z0-9_]*)</code>")
FOUND = r'<a href="../../../index.html#find=\1"><code>\1</code></a>'


def see(text: str) -> Markup:
    """Prose in which the `names` of other studies lead to their runs."""
    return Markup(STUDY.sub(FOUND, str(prose(text))))


def prose(text: str) -> Markup:
    """Paragraphs and "- " lists as safe HTML."""
    # Hidden characters are spelt out first: some of them would count as white space.
    parts = re.split(r"\n\s*\n", reveal(text).strip())
    return Markup("").join(_paragraph(part) for part in parts if part)


def _paragraph(part: str) -> Markup:
    lines = [line.strip() for line in part.split("\n")]
    first = next((i for i, line in enumerate(lines) if line.startswith("- ")), len(lines))
    lead, items = lines[:first], lines[first:]
    html = Markup("<p>{}</p>").format(inline(" ".join(lead))) if lead else Markup("")
    if not items:
        return html
    entries: list[str] = []
    for line in items:
        if line.startswith("- "):
            entries.append(line[2:])
        else:
            entries[-1] += " " + line
    body = Markup("").join(Markup("<li>{}</li>").format(inline(entry)) for entry in entries)
    return html + Markup("<ul>{}</ul>").format(body)


def labelled(text: str) -> list[tuple[str, Markup]]:
    """A docstring's paragraphs as (label, prose): "Units   Nats." is ("Units", "<p>Nats.</p>"). A paragraph,
    or a line at the left margin, that opens with a label begins a new part; before any the label is ""."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in reveal(text).strip().split("\n"):
        found = LABEL.match(line)
        if found:
            parts.append((found.group(1), [line[found.end() :]]))
        else:
            parts[-1][1].append(line.strip())
    return [
        (label, (see if label == "See" else prose)("\n".join(lines)))
        for label, lines in parts
        if any(x.strip() for x in lines)
    ]
