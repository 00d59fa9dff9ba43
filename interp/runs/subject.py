"""What a study runs on: the transformer that --model names, or a classifier that it names itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from interp.errors import UnavailableError
from interp.runs.order import Request
from interp.study.progress import watching
from interp.study.registry import Study

if TYPE_CHECKING:
    from interp.classifiers.classifier import Absent, Classifier
    from interp.transformer import Transformer

    Subject: TypeAlias = Union[Transformer, Classifier, Absent]


def classifier(study: Study, settings: Mapping[str, Any], request: Request) -> Classifier | Absent:
    """The classifier of the study's settings.

    One that nobody asked for by name may be out of reach: the study is given its absence.

    Raises  UnavailableError if it was asked for and cannot be had.
    """
    import torch

    from interp.classifiers.classifier import Absent
    from interp.classifiers.loading import load
    from interp.transformer import Origin

    name = settings["classifier"]
    usual = {each.name: each.default for each in study.settings}
    with watching(name) as watch:
        watch.step("loading the classifier")
        try:
            return load(
                name,
                label=settings.get("label", ""),
                dtype=getattr(torch, request.dtype),
                device=request.device,
                remote_code=settings.get("remote_code", False),
            )
        except UnavailableError as error:
            if name != usual["classifier"]:
                raise
            return Absent(Origin(name, "none", ""), str(error))
