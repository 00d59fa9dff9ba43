"""Where a model's weights come from, as every report states it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Name, architecture family, revision and checksum of the weights, and what a reader must know.

    `notes` are sentences that every report about this model repeats, such as that its weights were
    quantised or folded.
    """

    name: str
    family: str
    weights_sha256: str
    revision: str | None = None
    notes: tuple[str, ...] = ()
