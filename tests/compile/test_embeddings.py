"""Textual inversion compiled in, against Diffusers, which loads the same files by itself."""

import shutil

import pytest

from aquatint.compile.adapters import adapters_key, check_adapters, merge_adapters
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.embeddings import parse_embedding
from aquatint.compile.family import find_family
from aquatint.compile.tokenizers import write_tokenizer
from aquatint.runtime.errors import BadModel
from aquatint.runtime.manifest import read_manifest
from aquatint.runtime.pixels import psnr_db

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
tokenizers = pytest.importorskip("tokenizers")
safetensors = pytest.importorskip("safetensors.torch")

WIDTH = 32  # of the tiny text encoders
TEXTS = ["", "a <cat-toy> here", "<cat-toy><cat-toy> <CAT-TOY>", "a <cat-toy>_1 <cat-toy>_2 <cat-toy>_3", "<cat-toy"]


@pytest.fixture
def write(tmp_path):
    """Writes tensors to a file; returns the path."""
    torch.manual_seed(0)

    def save(name="cat.safetensors", **tensors):
        safetensors.save_file(tensors or {"<cat-toy>": vectors(3)}, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def find(workshop, tmp_path):
    """A tiny checkpoint with embeddings."""

    def find(model, *words):
        folder = str(workshop.checkpoint(model))
        return find_checkpoint(
            folder, revision=None, variant=None, config=None, work=tmp_path, embeddings=list(map(str, words))
        )

    return find


def vectors(count):
    return torch.randn(count, WIDTH) * 0.1


SHAPES = [vectors(3), vectors(1), vectors(1)[0], vectors(2).half()]


def anatomy_of(checkpoint):
    return find_family(checkpoint.configs["model_index"]["_class_name"]).anatomy(checkpoint.configs)


def check(checkpoint):
    check_adapters(checkpoint, anatomy_of(checkpoint))


def load(checkpoint):
    return diffusers.DiffusionPipeline.from_pretrained(checkpoint.folder, use_safetensors=True)


def taught(checkpoint):
    """Diffusers' pipeline after our words were added to it."""
    pipe, anatomy = load(checkpoint), anatomy_of(checkpoint)
    check_adapters(checkpoint, anatomy)
    merge_adapters(checkpoint, anatomy, pipe, {"text_encoder", "text_encoder_2"} & set(checkpoint.configs))
    return pipe


def assert_same_encoder(ours, theirs, names):
    for encoder, tokenizer in names:
        found, expected = (getattr(pipe, encoder).get_input_embeddings().weight for pipe in (ours, theirs))
        assert torch.equal(found, expected)
        assert getattr(ours, encoder).get_input_embeddings().num_embeddings == len(expected)
        for text in TEXTS:
            assert getattr(ours, tokenizer)(text).input_ids == getattr(theirs, tokenizer)(text).input_ids


@pytest.mark.parametrize("tensor", SHAPES, ids=lambda tensor: f"{[*tensor.shape]} {tensor.dtype}")
def test_the_text_encoder_learns_what_diffusers_teaches_it(find, write, tensor):
    file = write(**{"<cat-toy>": tensor})
    checkpoint = find("tiny-sd", file)
    theirs = load(checkpoint)
    theirs.load_textual_inversion(str(file.parent), weight_name=file.name)
    assert_same_encoder(taught(checkpoint), theirs, [("text_encoder", "tokenizer")])


def test_both_encoders_of_sdxl_learn_the_word(find, write):
    tensors = {"clip_l": vectors(2), "clip_g": vectors(2)}
    checkpoint = find("tiny-sdxl", f"{write(**tensors)}:<cat-toy>")
    theirs = load(checkpoint)
    names = [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")]
    for (encoder, tokenizer), tensor in zip(names, tensors.values(), strict=True):
        theirs.load_textual_inversion(
            {"<cat-toy>": tensor}, text_encoder=getattr(theirs, encoder), tokenizer=getattr(theirs, tokenizer)
        )
    assert_same_encoder(taught(checkpoint), theirs, names)


def test_several_words_have_the_ids_that_diffusers_gives_them_one_after_another(find, write):
    files = [write("one.safetensors", emb_params=vectors(2)), write("two.safetensors")]
    checkpoint = find("tiny-sd", *files)
    theirs = load(checkpoint)
    theirs.load_textual_inversion(str(files[0].parent), weight_name="one.safetensors", token="one")
    theirs.load_textual_inversion(str(files[1].parent), weight_name="two.safetensors")
    assert_same_encoder(taught(checkpoint), theirs, [("text_encoder", "tokenizer")])


def test_the_written_tokenizer_knows_the_words(find, write, tmp_path):
    file = write()
    checkpoint = find("tiny-sd", file)
    theirs = load(checkpoint)
    theirs.load_textual_inversion(str(file.parent), weight_name=file.name)
    write_tokenizer(checkpoint.folder / "tokenizer", tmp_path / "ours", checkpoint.embeddings[0].tokens)
    ours = tokenizers.Tokenizer.from_file(str(tmp_path / "ours" / "tokenizer.json"))
    for text in TEXTS:
        expected = theirs.tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
        assert ours.encode(text).ids == expected
    assert ours.token_to_id("<cat-toy>_2") == 49410


@pytest.mark.parametrize(
    "name, tail, key, token",
    [
        ("a.safetensors", "", "<cat-toy>", "<cat-toy>"),
        ("a.safetensors", ":<x>", "<cat-toy>", "<x>"),
        ("a.safetensors", ":<x:1>.pt", "<cat-toy>", "<x:1>.pt"),
        ("Easy.v2.safetensors", "", "emb_params", "easy.v2"),
        ("easy.safetensors", ":two words", "emb_params", "two words"),
        ("a:b.safetensors", "", "emb_params", "a:b"),
        ("a:b.safetensors", ":c", "emb_params", "c"),
    ],
)
def test_the_word_is_the_callers_or_the_files_or_its_name(write, name, tail, key, token):
    file = write(name, **{key: vectors(2)})
    found = parse_embedding(f"{file}{tail}")
    assert (found.file, found.token, found.vectors) == (file, token, 2)
    assert found.tokens == [token, f"{token}_1"]


@pytest.mark.parametrize("name", ["b.safetensors", "b.safetensors:<x>", "b", ""])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(BadModel, match=r"there is no embedding file .*; write FILE or FILE:TOKEN, such as"):
        parse_embedding(f"{tmp_path}/{name}")


@pytest.mark.parametrize("word", ["a.pt", "a.bin:<x>"])
def test_a_pickle_is_never_read(tmp_path, word):
    (tmp_path / word.partition(":")[0]).write_bytes(b"\x80\x04.")
    with pytest.raises(BadModel, match=r"a\.(pt|bin) is no \.safetensors file; pickled files may run code"):
        parse_embedding(f"{tmp_path}/{word}")


@pytest.mark.parametrize(
    "tensors, message",
    [
        ({"a": vectors(1), "b": vectors(1)}, r"is no textual inversion: it has 2 tensors \(a, b\)"),
        ({"clip_l": vectors(1), "x": vectors(1)}, "is no textual inversion"),
        ({"clip_l": vectors(1), "clip_g": vectors(2)}, "as many for each"),
        ({"x": torch.zeros(2, 2, WIDTH)}, r"vectors of shape \[\(2, 2, 32\)\]"),
        ({"x": torch.zeros(0, WIDTH)}, "vectors of shape"),
        ({"x": torch.zeros(())}, "vectors of shape"),
        ({" ": vectors(1)}, "the word of .* is ' ', which no prompt can hold"),
    ],
)
def test_a_file_of_another_kind_is_refused(write, tensors, message):
    with pytest.raises(BadModel, match=message):
        parse_embedding(str(write(**tensors)))


@pytest.mark.parametrize("tail", [":", ": ", ":<x> "])
def test_an_empty_word_is_refused(write, tail):
    with pytest.raises(BadModel, match=r"the word of .*cat\.safetensors is .*, which no prompt can hold"):
        parse_embedding(f"{write()}{tail}")


def test_a_word_of_several_vectors_is_refused_where_diffusers_would_lose_all_but_one(find, write):
    file = write()
    with pytest.raises(BadModel, match=r"reads the word <Cat> as <cat>, and would use one of its 3 .*:<cat>"):
        check(find("tiny-sd", f"{file}:<Cat>"))
    theirs = load(find("tiny-sd"))
    theirs.load_textual_inversion(str(file.parent), weight_name=file.name, token="<Cat>")
    assert theirs.maybe_convert_prompt("a <Cat>", theirs.tokenizer) == "a <Cat>"
    check(find("tiny-sd", f"{write('one.safetensors', word=vectors(1))}:<Cat>"))


def test_vectors_of_another_width_are_refused(find, write):
    with pytest.raises(BadModel, match=r"cat\.safetensors has vectors of 48 numbers, text_encoder takes 32"):
        check(find("tiny-sd", write(x=torch.zeros(2, 48))))


@pytest.mark.parametrize("word", ["!", "a</w>", "<|endoftext|>", "<unused7>"])
def test_a_word_that_the_tokenizer_knows_is_refused(find, write, word):
    with pytest.raises(BadModel, match=r"can't be taught: .* is a token already; choose another word: .*:TOKEN"):
        check(find("tiny-sd", f"{write()}:{word}"))


@pytest.mark.parametrize(
    "first, second", [("<x>", "<x>"), ("<x>", "<x>_2"), ("<x>", "<x>_3"), ("<x>_1", "<x>"), ("<x>_3", "<x>")]
)
def test_words_that_share_a_token_are_refused(find, write, first, second):
    # Each has three vectors; <x>_3 would be taken for a fourth of <x>.
    file = write()
    with pytest.raises(BadModel, match="is a token already"):
        check(find("tiny-sd", f"{file}:{first}", f"{file}:{second}"))
    check(find("tiny-sd", f"{file}:<x>", f"{file}:<y>"))


def test_an_embedding_for_other_encoders_is_refused(find, write):
    both = write("both.safetensors", clip_l=vectors(1), clip_g=vectors(1))
    with pytest.raises(BadModel, match=r"for text_encoder and text_encoder_2; the model's text encoders are text_enc"):
        check(find("tiny-sd", both))
    with pytest.raises(BadModel, match=r"has vectors for text_encoder; the model's text encoders are text_encoder and"):
        check(find("tiny-sdxl", write()))


def test_values_that_are_not_finite_are_refused(find, write):
    checkpoint = find("tiny-sd", write(word=torch.full((1, WIDTH), float("nan"))))
    with pytest.raises(BadModel, match="values that are not finite in word"):
        taught(checkpoint)


def test_a_tokenizer_with_more_words_than_the_encoder_is_refused(find, write):
    checkpoint = find("tiny-sd", write())
    pipe = load(checkpoint)
    pipe.tokenizer.add_tokens("<unknown to the encoder>")
    with pytest.raises(BadModel, match="the tokenizer of text_encoder has 49409 tokens, the network only 49408"):
        merge_adapters(checkpoint, anatomy_of(checkpoint), pipe, {"text_encoder"})


def test_golden_images_show_the_word_and_cached_results_depend_on_it(find, write):
    file = write()
    one, two = find("tiny-sd", file), find("tiny-sd", f"{file}:<x>")
    assert all(prompt.endswith(", <cat-toy>") for prompt in one.prompts)
    assert adapters_key(one, "text_encoder") != adapters_key(two, "text_encoder")
    assert adapters_key(one, "unet") == []


def test_a_bundle_with_a_lora_and_an_embedding_prints_diffusers_picture(workshop, write, tmp_path):
    pytest.importorskip("peft")
    import aquatint
    from aquatint.inspection import manifest_text
    from aquatint.profiles.profile import read_profile

    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v"
    style = write(
        "style.safetensors",
        **{f"unet.{layer}.lora_A.weight": torch.randn(4, 32), f"unet.{layer}.lora_B.weight": torch.randn(16, 4)},
        **{"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": torch.randn(4, 32) * 0.3,
           "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_B.weight": torch.randn(32, 4) * 0.3},
    )  # fmt: skip
    word = write("cat.safetensors", **{"<cat-toy>": torch.randn(3, 32)})
    found = find_checkpoint(
        str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=tmp_path,
        loras=[f"{style}:0.8"], embeddings=[str(word)],
    )  # fmt: skip
    folder = workshop.compile_checkpoint(found, "ort:cpu", read_profile("exact"), tmp_path / "bundle")
    lora, embedding = read_manifest(folder).model.adapters
    assert (lora.kind, lora.name, lora.scale) == ("lora", "style", 0.8)
    assert "style at scale 0.8" in manifest_text(read_manifest(folder))
    assert (embedding.kind, embedding.tokens) == ("embedding", ("<cat-toy>", "<cat-toy>_1", "<cat-toy>_2"))

    pipe = load(found)
    pipe.set_progress_bar_config(disable=True)
    asked = {"prompt": "a <cat-toy> on a <cat-toy>", "negative_prompt": "<cat-toy>", "num_inference_steps": 4}
    size = {"height": 64, "width": 64}
    plain = pipe(**asked, **size, generator=torch.Generator().manual_seed(3)).images[0]
    pipe.load_lora_weights(str(style.parent), weight_name=style.name)
    pipe.fuse_lora(lora_scale=0.8)
    pipe.load_textual_inversion(str(word.parent), weight_name=word.name)
    theirs = pipe(**asked, **size, generator=torch.Generator().manual_seed(3)).images[0]
    ours = aquatint.load(folder)(**asked, **size, seed=3).images[0]
    # A grey level here and there; without the two files the picture is another one.
    assert psnr_db(ours, theirs) >= 50
    assert psnr_db(plain, theirs) < 30
    shutil.rmtree(folder)
