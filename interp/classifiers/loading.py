"""A name, and out comes a classifier."""

import re
from pathlib import Path
from typing import Any

import torch

from interp.classifiers import packaged, sizes
from interp.classifiers.classifier import Classifier, label_number, labels
from interp.classifiers.packaged import SHORT_NAMES, parted
from interp.errors import UnavailableError, UsageError, brief, named, reason
from interp.ordinary import ordinary_file
from interp.transformer import Origin
from interp.weights import checksum
from interp.weights.comparison import quiet
from interp.weights.files import read_json, weight_files
from interp.weights.loading import folder_of

_OF_TOKENIZERS = (
    *("tokenizer", "vocab", "merges", "spiece", "spm", "sentencepiece", "special_tokens", "added"),
    *("chat_template", "entity_vocab", "bpe"),
)
_HOLDS_WORDS = re.compile(r"^tokenizer\.json|vocab|\.model$|^merges|\.bpe|^bpe|\.spm")


def load(
    name: str,
    label: str = "",
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    remote_code: bool = False,
) -> Classifier:
    """The classifier of this name: a short name, a folder, or a Hugging Face id, with `@revision`
    behind it where one is wanted.

    Weights are read from safetensors where there are any, else from a pickle without running it.
    Code that comes with a model runs only with `remote_code`.

    Raises  UnavailableError for what cannot be had or is no trained classifier of whole texts;
            UsageError for a label it does not have.
    """
    folder, revision, notes = _place(name, remote_code)
    config = _config(folder, name, remote_code)
    tokenizer = _tokenizer(folder, name, remote_code)
    model = _model(folder, name, config, remote_code).to(dtype=dtype, device=device).eval()
    sizes.limit(model, tokenizer)
    # Decoders look for the last token that is no padding; where they know none, nothing is padded.
    text = model.config.get_text_config()
    if getattr(text, "pad_token_id", None) is None:
        text.pad_token_id = -1
    # A text is read at once; nothing goes on from it.
    text.use_cache = model.config.use_cache = False
    sha256 = checksum.of_files(weight_files(folder))
    origin = Origin(name, model.config.model_type, sha256, revision, notes)
    return Classifier(model, tokenizer, origin, label_number(labels(model.config), label))


def _place(name: str, remote_code: bool) -> tuple[Path, str | None, tuple[str, ...]]:
    """The folder of the model, its commit, and what a reader must know."""
    if name in SHORT_NAMES:
        return packaged.folder(name), None, (packaged.NOTES[name],)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path, None, ()
    identity, revision = parted(name)
    if Path(identity).expanduser().is_dir():
        raise UsageError(f"revision {revision!r} was given, but the folder {identity} has none")
    if path.is_file() or identity.startswith((".", "/", "~")) or identity.count("/") > 1:
        raise UnavailableError(
            f"there is no folder {name!r}; short names of classifiers: {', '.join(SHORT_NAMES)}"
        )
    folder = folder_of(identity, revision, known=SHORT_NAMES)
    if remote_code:
        from huggingface_hub import snapshot_download

        snapshot_download(identity, revision=folder.name, allow_patterns=["*.py"])
    return folder, folder.name, ()


def _config(folder: Path, name: str, remote_code: bool) -> Any:
    from transformers import AutoConfig, PretrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    written = read_json(folder / "config.json")
    kind, own = written.get("model_type"), "auto_map" in written
    foreign = remote_code and own
    if not foreign and (not isinstance(kind, str) or kind not in CONFIG_MAPPING):
        raise UnavailableError(
            f"{named(name)} is a {brief(kind)}, which runs only with code that comes with the model; "
            "if you trust who wrote it, say --remote-code"
            if own
            else f"{named(name)} is a {brief(kind)}, which the installed transformers does not know"
        )
    sizes.check(name, written, weight_files(folder))
    try:
        with quiet(warnings=False):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=foreign)
        text = config.get_text_config()
        if not isinstance(text, PretrainedConfig):
            raise TypeError(f"text_config must be an object, got {brief(text)}")
    except Exception as error:  # its validators raise many kinds of errors
        raise UnavailableError(
            f"{named(str(folder / 'config.json'))} is not valid: {reason(error)}"
        ) from None
    if not foreign and type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise UnavailableError(f"{named(name)} is a {kind}, which has no sequence classifier")
    return config


def _model(folder: Path, name: str, config: Any, remote_code: bool) -> Any:
    from transformers import AutoModelForSequenceClassification

    try:
        with quiet(warnings=False):
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                trust_remote_code=remote_code,
                # The only one that shows its patterns.
                attn_implementation="eager",
                output_loading_info=True,
                weights_only=True,
            )
    except Exception as error:  # transformers raises whatever its parsers do
        why = reason(error)
        if "ignore_mismatched_sizes" in why:
            why = "they have other shapes than its config.json says"
        raise UnavailableError(f"the weights of {named(name)} cannot be loaded: {why}") from error
    if missing := sorted(found["missing_keys"]) + sorted(map(str, found["mismatched_keys"])):
        raise UnavailableError(
            f"{named(name)} is no trained classifier: its files lack {named(missing[0])}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}"
        )
    return model


def _tokenizer(folder: Path, name: str, remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    found = [path for path in folder.iterdir() if path.name.startswith(_OF_TOKENIZERS)]
    for path in found:
        ordinary_file(path)
    # Without one, some of transformers' classes come with no words at all.
    if not remote_code and not any(_HOLDS_WORDS.search(path.name) for path in found):
        raise UnavailableError(
            f"the tokenizer of {named(name)} cannot be loaded: {named(folder)} holds no vocabulary, "
            "such as tokenizer.json; write it there with the tokenizer's save_pretrained"
        )
    try:
        with quiet(warnings=False):
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
    except Exception as error:  # as above
        raise UnavailableError(
            f"the tokenizer of {named(name)} cannot be loaded: {reason(error)}"
        ) from error
    if not tokenizer.is_fast:
        raise UnavailableError(
            f"the tokenizer of {named(name)} does not say which sentence a token is from; "
            "a tokenizer.json is needed"
        )
    return tokenizer
