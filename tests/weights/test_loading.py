"""What `load` gives, and what it says when it cannot."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import interp
from interp.errors import UnavailableError, UsageError
from interp.weights import checksum, exporting, stored


def storage_of(tensor):
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def mapped(path):
    """Where the file lies in this process's memory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
    return [(int(start, 16), int(end, 16)) for start, end in spans]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's memory map")
@pytest.mark.parametrize("kind", ["gpt2", "llama-biased", "qwen3"])
def test_weights_are_the_mapped_file_and_no_copy(kind, folder_of):
    model = interp.load(str(folder_of(kind)))
    spans = mapped((folder_of(kind) / "model.safetensors").resolve())
    assert spans
    for name, parameter in model.named_parameters():
        start, end = storage_of(parameter)
        assert any(low <= start and end <= high for low, high in spans), name


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's memory map")
def test_of_neox_only_what_lies_interleaved_is_laid_out_anew(folder_of):
    model = interp.load(str(folder_of("neox")))
    spans = mapped((folder_of("neox") / "model.safetensors").resolve())
    copied = {
        name.rpartition(".")[2]
        for name, it in model.named_parameters()
        if not any(low <= it.data_ptr() < high for low, high in spans)
    }
    assert copied == {"W_Q", "W_K", "W_V"}


def test_another_dtype_holds_one_copy_of_each_weight(folder_of):
    model = interp.load(str(folder_of("llama-biased")), dtype=torch.float64)
    held = {it.untyped_storage().data_ptr(): it.untyped_storage() for it in model.parameters()}
    n_bytes = sum(storage.nbytes() for storage in held.values())
    assert n_bytes == sum(it.numel() for it in model.parameters()) * 8
    assert model.dtype == torch.float64


def test_changing_the_model_leaves_the_file_alone(saved, tokens):
    folder = saved("llama")
    before = (folder / "model.safetensors").read_bytes()
    model = interp.load(str(folder))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert (folder / "model.safetensors").read_bytes() == before


def test_parts_and_pickles_give_the_same_model(saved, tokens):
    folder = saved("llama")
    expected = interp.load(str(folder)).run(tokens).logits
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()

    names = sorted(tensors)
    places = {name: f"part-{index % 3}.safetensors" for index, name in enumerate(names)}
    for part in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == part}, folder / part)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert torch.equal(interp.load(str(folder)).run(tokens).logits, expected)

    (folder / "part-1.safetensors").unlink()
    with pytest.raises(UnavailableError, match=r"part-1\.safetensors is missing"):
        interp.load(str(folder))
    index.write_text(json.dumps({"weight_map": {names[0]: "../elsewhere.safetensors"}}))
    with pytest.raises(UnavailableError, match="outside its folder"):
        interp.load(str(folder))

    index.unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert torch.equal(interp.load(str(folder)).run(tokens).logits, expected)
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(interp.load(str(folder)).run(tokens).logits, expected)


class Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ["HOSTILE_FOLDER"],)


def test_a_pickle_that_needs_code_is_refused_and_not_run(saved, tmp_path, monkeypatch):
    folder = saved("llama")
    monkeypatch.setenv("HOSTILE_FOLDER", str(tmp_path / "made-by-the-pickle"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Hostile()}))
    with pytest.raises(UnavailableError, match="unpickling it could run code; save it as safet"):
        interp.load(str(folder))
    torch.save({"weight": Hostile()}, folder / "pytorch_model.bin")
    with pytest.raises(UnavailableError, match="could run code"):
        interp.load(str(folder))
    assert not (tmp_path / "made-by-the-pickle").exists()


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["model.norm.weight"].fill_(float("nan")), "model.norm.weight holds NaN"),
        (lambda t: t["lm_head.weight"][3, 5].fill_(float("inf")), "lm_head.weight holds NaN or"),
        (lambda t: t.pop("model.layers.1.mlp.up_proj.weight"), "lacks the tensor 'model.layers.1."),
        (lambda t: t.update(extra=torch.ones(3)), "does not use, the first is 'extra'"),
        (lambda t: t.update({"model.norm.weight": torch.ones(35)}), r"ln_final.w must have shape"),
        (lambda t: t.update({"model.norm.weight": torch.ones(36).int()}), "floating-point numbers"),
    ],
    ids=["nan", "infinite", "missing", "unused", "shape", "integers"],
)
def test_weights_that_cannot_be_right_are_refused(change, message, saved):
    folder = saved("llama")
    rewrite(folder, change)
    with pytest.raises(UnavailableError, match=message) as refused:
        interp.load(str(folder))
    assert "\n" not in str(refused.value)


def test_numbers_beyond_a_narrow_dtype_are_refused(saved):
    folder = saved("llama")
    rewrite(folder, lambda t: t["model.norm.weight"].fill_(1e30))
    assert interp.load(str(folder)).ln_final.w[0] == 1e30
    with pytest.raises(UnavailableError, match=r"too large for torch.float16; load it as float32"):
        interp.load(str(folder), dtype=torch.float16)


def test_a_tied_model_whose_stored_unembedding_differs_is_refused(saved, tokens):
    folder = saved("gpt2")
    expected = interp.load(str(folder)).run(tokens).logits
    embedding = load_file(folder / "model.safetensors")["transformer.wte.weight"]
    rewrite(folder, lambda t: t.update({"lm_head.weight": embedding.clone()}))
    assert torch.equal(interp.load(str(folder)).run(tokens).logits, expected)
    rewrite(folder, lambda t: t.update({"lm_head.weight": embedding + 1}))
    with pytest.raises(UnavailableError, match="though the config ties them"):
        interp.load(str(folder))


def test_buffers_and_names_of_older_checkpoints_are_understood(saved, tokens):
    folder = saved("gpt2")
    expected = interp.load(str(folder)).run(tokens).logits

    def as_published(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 40, 40)
        tensors["h.1.attn.masked_bias"] = torch.tensor(-1e4)

    rewrite(folder, as_published)
    assert torch.equal(interp.load(str(folder)).run(tokens).logits, expected)


@pytest.mark.parametrize("size", [0, 5, 200, -10])
def test_a_truncated_file_is_refused(size, saved):
    path = saved("llama") / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(UnavailableError, match="truncated or no safetensors file"):
        interp.load(str(path.parent))
    path.unlink()
    (path.parent / "pytorch_model.bin").write_bytes(whole[:size])
    with pytest.raises(UnavailableError):
        interp.load(str(path.parent))


def test_what_is_missing_is_named(saved, tmp_path):
    folder = saved("llama")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnavailableError, match=r"holds no weights: expected model\.safetensors"):
        interp.load(str(folder))
    (folder / "config.json").write_text("{not json")
    with pytest.raises(UnavailableError, match=r"config\.json cannot be read as JSON"):
        interp.load(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnavailableError, match="holds no model"):
        interp.load(str(tmp_path / "empty"))
    with pytest.raises(UnavailableError, match="is a file; give the folder"):
        interp.load(str(folder / "config.json"))
    with pytest.raises(UnavailableError, match="there is no folder"):
        interp.load(str(tmp_path / "nowhere" / "at" / "all"))


@pytest.mark.parametrize("name", ["smolm2-135m", "tiny-gtp2", "no such model", ""])
def test_an_unknown_name_is_refused_with_near_names(name):
    with pytest.raises(UnavailableError, match="no model|no short name") as refused:
        interp.load(name)
    assert "smollm2-135m" in str(refused.value) or "tiny-gpt2" in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": torch.int64}, "dtype must be float64"),
        ({"dtype": "int8"}, "dtype must be float64"),
        ({"dtype": "double"}, "bfloat16 or float16, got 'double'"),
        ({"device": "warp:9"}, "device 'warp:9' cannot be used here"),
        ({"device": "hpu"}, "device 'hpu' cannot be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"device": "meta"}, "device 'meta' holds no numbers"),
        ({"device": "cpu\x1b[2J"}, "cannot be used here"),
        ({"revision": "main"}, "no Hugging Face id and has none"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        interp.load("tiny-gpt2", **options)


def test_a_folder_without_tokenizer_loads_and_only_text_is_an_error(folder_of, tokens):
    model = interp.load(str(folder_of("llama")))
    assert model.run(tokens).logits.shape == (2, 13, 61)
    with pytest.raises(UsageError, match="has no tokenizer; give token ids"):
        model.run("Mary went to the store")


def test_a_damaged_tokenizer_is_an_error_when_it_is_needed(saved, tokens):
    folder = saved("llama")
    (folder / "tokenizer.json").write_text("{}")
    model = interp.load(str(folder))
    assert model.run(tokens).logits.shape == (2, 13, 61)
    with pytest.raises(UnavailableError, match="the tokenizer of .* cannot be loaded"):
        model.run("Mary")


def test_a_tokenizer_that_would_fail_at_its_first_text_is_refused(tmp_path):
    model = interp.load("tiny-llama")
    exporting.write(tmp_path, model)
    model.tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": "many"}))
    with pytest.raises(
        UnavailableError, match="the tokenizer of .* cannot be loaded: '>' not supp"
    ):
        interp.load(tmp_path).run("Mary")


def test_checksum_is_the_files_own_and_follows_its_changes(saved):
    import hashlib

    folder = saved("llama")
    path = folder / "model.safetensors"
    first = interp.load(str(folder)).origin
    assert first.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (first.name, first.family, first.revision) == (str(folder), "llama", None)
    rewrite(folder, lambda t: t["model.norm.weight"].fill_(2.0))
    assert interp.load(str(folder)).origin.weights_sha256 != first.weights_sha256


def test_a_checksum_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    reads = []
    monkeypatch.setattr(checksum, "of_file_read", lambda p: reads.append(p) or str(len(reads)))
    assert [checksum.of_file(path) for _ in range(3)] == ["1"] * 3
    # What a killed process left beside the note goes, though nothing is written.
    left = checksum.cache_folder() / "checksums" / f".interp-{'0' * 16}"
    left.mkdir()
    assert checksum.of_file(path) == "1"
    assert not left.exists()
    path.write_bytes(b"two!")
    assert checksum.of_file(path) == "2"
    assert len(reads) == 2


HUB = """
import sys, torch, interp
for argument in sys.argv[1:]:
    name, _, revision = argument.partition("@")
    try:
        model = interp.load(name, revision=revision or None)
    except interp.errors.InterpError as error:
        print(error.exit_code, error)
    else:
        logits = model.run(torch.arange(9)[None]).logits
        print(model.origin.revision, model.origin.name, float(logits.sum()))
"""


def offline(home, *names):
    """A line for every name, from a process of its own: where the cache is, is read when
    huggingface_hub is imported."""
    env = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "INTERP_CACHE": str(home / "interp")}
    done = subprocess.run(
        [sys.executable, "-c", HUB, *names],
        env=os.environ | env,
        cwd=Path(interp.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_hub_ids_come_from_the_cache_or_say_how_to_get_them_there(tmp_path, folder_of):
    cached = tmp_path / "hub" / "models--someone--random-llama"
    files = ("config.json", "model.safetensors")
    for revision, kind, kept in (("a", "llama", 2), ("b", "qwen3", 2), ("c", "llama", 1)):
        snapshot = cached / "snapshots" / (revision * 40)
        snapshot.mkdir(parents=True)
        for name in files[:kept]:
            (snapshot / name).write_bytes((folder_of(kind) / name).read_bytes())
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    name = "someone/random-llama"
    default, other, incomplete, missing = offline(
        tmp_path, name, f"{name}@{'b' * 40}", f"{name}@{'c' * 40}", "someone/no-such-model@v2"
    )

    for line, revision, kind in ((default, "a", "llama"), (other, "b", "qwen3")):
        expected = interp.load(str(folder_of(kind))).run(torch.arange(9)[None]).logits.sum()
        said_revision, said_name, logits = line.split()
        assert (said_revision, said_name) == (revision * 40, name)
        assert float(logits) == pytest.approx(float(expected), abs=1e-3)

    assert incomplete.startswith("3 ")
    assert f"`hf download {name} --revision {'c' * 40}`" in incomplete
    assert missing.startswith("3 ")
    assert str(tmp_path / "hub") in missing
    assert "HF_HUB_OFFLINE is set" in missing
    assert "`hf download someone/no-such-model --revision v2`" in missing


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-attn-only"])
def test_weights_replaced_under_a_description_are_seen(name, tmp_path, tokens):
    import hashlib

    exporting.write(tmp_path, interp.load(name))
    path = tmp_path / "model.safetensors"
    first = interp.load(tmp_path)
    assert first.origin.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert first.origin.notes == ()
    before, times = first.run(tokens).logits.clone(), path.stat()
    tensors = {name: it.clone() for name, it in load_file(path).items()}
    tensors[min(tensors)] += 1
    del first
    save_file(tensors, tmp_path / "other", metadata={"format": "pt"})
    # In place, of the same size, and with the old time.
    assert (tmp_path / "other").stat().st_size == times.st_size
    with path.open("r+b") as file:
        file.write((tmp_path / "other").read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = interp.load(tmp_path)
    assert not torch.equal(after.run(tokens).logits, before)
    assert after.origin.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert after.origin.notes == (stored.CHANGED,)


def test_a_checksum_under_a_coarse_clock_is_not_trusted_within_a_tick(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    when = [path.stat().st_mtime_ns // 10**9 * 10**9] * 2
    found = checksum._state
    monkeypatch.setattr(checksum, "_state", lambda path: found(path) | {"times": when})
    first = checksum.of_file(path)
    path.write_bytes(b"two")
    assert checksum.of_file(path) != first


@pytest.mark.parametrize("dtype", ["float32", "torch.float64", torch.bfloat16, "float16"])
def test_a_dtype_may_be_given_by_its_name(dtype):
    model = interp.load("tiny-gpt2", dtype=dtype)
    assert str(model.dtype).removeprefix("torch.") == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    "name",
    ["~nobody-of-this-name/x", "~/nowhere\x1b[2J", "a\0b", "x" * 5000, "x/" * 5000, "/dev/null", "\ud800",
     "../" * 100 + "dev/zero", "a b\n" * 400, "https://example.com/m", "-x", ".", "/proc/self/mem"],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_refused_in_a_sentence(name):
    with pytest.raises(UnavailableError) as refused:
        interp.load(name)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()


def test_tensors_wider_than_their_storage_are_refused_unread(saved):
    folder = saved("llama")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 2 * 10**9}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.ones(1, 36).expand(2 * 10**9, 36)
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(
        UnavailableError, match="embed_tokens.weight has the shape .* only 36 numbers"
    ):
        interp.load(folder)


def test_a_compressed_checkpoint_is_refused_unread(saved, tmp_path):
    import zipfile

    folder = saved("llama")
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "plain")
    (folder / "model.safetensors").unlink()
    with (
        zipfile.ZipFile(tmp_path / "plain") as plain,
        zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    with pytest.raises(UnavailableError, match="is compressed; save it"):
        interp.load(folder)


def test_shapes_are_checked_before_a_value_is_read(saved, monkeypatch):
    folder = saved("llama")
    rewrite(folder, lambda t: t.update({"lm_head.weight": torch.ones(3, 36)}))
    monkeypatch.setattr(checksum, "of_file_read", lambda path: pytest.fail("the weights were read"))
    monkeypatch.setattr("interp.weights.reader._finite", lambda it: pytest.fail("values were read"))
    with pytest.raises(UnavailableError, match=r"lm_head.weight must have shape \[61, 36\] by the"):
        interp.load(folder)


@pytest.mark.parametrize(
    "part",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b.bin", "a\\b.bin", "x\0.bin", 3, None, ["a"],
     "\x1b[2J.bin", "config.json", "x" * 5000 + ".bin"],
)  # fmt: skip
def test_an_index_names_files_of_weights_in_its_folder_alone(part, saved):
    folder = saved("llama")
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        UnavailableError, match="names a part outside its folder, or none"
    ) as refused:
        interp.load(folder)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()
