"""What the heads of a circuit do, a sentence each with its numbers, and what a rule calls them."""

import pandas as pd

from interp.circuits.roles import ATTENDS, COPIES, RULES, Roles
from interp.report import Section, Table, Text

_EVERYWHERE = {
    "previous_token": "from every token to the one before",
    "duplicate_token": "from what is repeated to where it came before",
    "induction": "from what is repeated to the token after where it came before",
}

# So many heads have their sentence on the page.
SENTENCES = 12
_INTRO = (
    "A name is given where all three things of its rule are found: where the head attends, what it writes, "
    "and what an intervention on held-out prompts does. Path: patched, added up over those that read it."
)


def roles(found: Roles, unit: str = "logits") -> list[Section]:
    """A sentence for each head, those with a name and of the largest effects first; the table `roles`,
    component, role and the numbers; and the rules. Nothing where there are no heads."""
    frame = found.frame
    if not len(frame):
        return []
    frame = frame.assign(nameless=frame["role"].eq(""), size=-frame["effect"].abs())
    order = frame.sort_values(["nameless", "size"], kind="stable").index
    frame, n = found.frame.loc[order], sum(map(bool, found.names))
    said = [f"- {sentence(row, unit)}" for _, row in frame.iloc[:SENTENCES].iterrows()]
    if len(frame) > SENTENCES:
        said.append(f"- {len(frame) - SENTENCES} more are in the table.")
    table = Table("roles", frame, title=f"{n} of {len(frame)} heads have a name")
    words = "\n".join(f"- **{name}**: {'; '.join(each)}." for name, each in RULES.items())
    return [Section("What its heads do", [Text("\n".join(said)), table, Text(words)], intro=_INTRO)]


def sentence(row: pd.Series, unit: str) -> str:
    """What one head does, in words."""
    looks = [f"from END to {row['attends_to']} ({row['attention']:.2f})"]
    looks += [
        f"{words} ({row[name]:.2f})" for name, words in _EVERYWHERE.items() if row[name] >= ATTENDS
    ]
    said = f"**{row['component']}** attends {', '.join(looks)}"
    if abs(row["copying"]) >= COPIES:
        does = "raises" if row["copying"] > 0 else "lowers"
        said += f"; it {does} the token at the answer's place by {abs(row['copying']):.1f} sd"
    said += f"; without it answer minus wrong changes by {row['effect']:+.2f}"
    if pd.notna(row["effect_low"]):
        said += f" [{row['effect_low']:+.2f}, {row['effect_high']:+.2f}]"
    said += f" {unit}, {row['direct']:+.2f} of it directly"
    if pd.notna(row["path"]):
        said += f", and {row['path']:+.2f} through those that read it"
    return f"{said}: {row['role'] or 'no name'}."
