"""What MODEL names, and which of its files are read."""

import json
import sys
from types import SimpleNamespace

import pytest

from aquatint.compile.checkpoint import DEMO_GOLDENS, GENERAL_PROMPTS, Checkpoint, find_checkpoint
from aquatint.demo.prompts import held_out
from aquatint.runtime.errors import BadModel


def find(model, variant=None, revision=None, work=None):
    return find_checkpoint(str(model), revision=revision, variant=variant, config=None, work=work)


@pytest.fixture
def folder(tmp_path):
    """A Diffusers folder whose weights are empty files."""
    made = tmp_path / "my-model"
    for part, weights in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (made / part).mkdir(parents=True)
        (made / part / "config.json").write_text(json.dumps({"part": part}))
        (made / part / f"{weights}.safetensors").touch()
    (made / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return made


@pytest.fixture
def hub(monkeypatch):
    """Puts a download in place of the hub's."""

    def put(download):
        fake = SimpleNamespace(DiffusionPipeline=SimpleNamespace(download=download))
        monkeypatch.setitem(sys.modules, "diffusers", fake)

    return put


def rename(folder, part, *names):
    """Let the part's weights be these files."""
    for file in (folder / part).iterdir():
        if file.suffix != ".json":
            file.unlink()
    for name in names:
        (folder / part / name).touch()


def names(checkpoint, part):
    return [file.name for file in checkpoint.weight_files(part)]


def test_a_folder_is_found_with_its_configurations(folder):
    found = find(folder)
    assert found.folder == folder
    assert found.config("unet") == {"part": "unet"}
    assert found.config("model_index") == {"_class_name": "StableDiffusionPipeline"}
    assert (found.variant, found.is_onnx, found.prompts) == (None, False, GENERAL_PROMPTS)
    assert names(found, "unet") == ["diffusion_pytorch_model.safetensors"]


def test_a_missing_configuration_is_named(folder):
    with pytest.raises(BadModel, match="has no folder vae with a configuration"):
        find(folder).config("vae")


def test_demo_is_the_embedded_model_with_prompts_that_it_knows():
    found = find("demo")
    assert (found.source, found.name) == ("demo", "demo")
    assert list(found.prompts) == [prompt for prompt, _ in held_out(DEMO_GOLDENS)]


@pytest.mark.parametrize(
    "source, name",
    [
        ("/models/my-model", "my-model"),
        ("models/sd-v1.5/", "sd-v1.5"),
        ("stabilityai/stable-diffusion-2.1", "stable-diffusion-2.1"),
        ("/models/dream.v8.safetensors", "dream.v8"),
        (".", "folder"),
    ],
)
def test_a_model_is_called_by_its_last_word(tmp_path, source, name):
    assert Checkpoint(tmp_path / "folder", source).name == name


def test_a_folder_without_an_index_is_refused(folder):
    (folder / "model_index.json").unlink()
    with pytest.raises(BadModel, match=r"model_index\.json is missing; a Diffusers model is a folder with"):
        find(folder)


@pytest.mark.parametrize("text", ["{", "", "[1]", "null", "[" * 100_000, '{"a": "\udcff'])
def test_an_index_that_is_no_json_object_is_refused(folder, text):
    (folder / "model_index.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadModel, match=r"model_index\.json (can't be read|holds no JSON object)"):
        find(folder)


def test_a_configuration_that_is_no_json_is_refused(folder):
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(BadModel, match=r"unet/config\.json can't be read"):
        find(folder).config("unet")


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt", "model.pt", "model.pth"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder, name):
    rename(folder, "unet", name)
    with pytest.raises(BadModel, match=r"unet of .* has pickled weights only, .* convert them: .*save_pretrained"):
        find(folder).weight_files("unet")


def test_beside_safetensors_pickled_weights_are_passed_over(folder):
    rename(folder, "unet", "model.safetensors", "model.bin")
    assert names(find(folder), "unet") == ["model.safetensors"]


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_part_without_weights_is_named(folder, part):
    rename(folder, "unet")
    with pytest.raises(BadModel, match=f"has no .safetensors weights in {part}$"):
        find(folder).weight_files(part)


def test_shards_are_all_read(folder):
    shards = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    rename(folder, "unet", *shards, "diffusion_pytorch_model.fp16.safetensors")
    assert names(find(folder), "unet") == shards


def test_plain_files_go_before_a_variant(folder):
    rename(folder, "unet", "model.safetensors", "model.fp16.safetensors")
    found = find(folder)
    assert (found.variant, names(found, "unet")) == (None, ["model.safetensors"])


@pytest.mark.parametrize(
    "files",
    [
        ["model.fp16.safetensors"],
        ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"],
        ["model-00001-of-00002.fp16.safetensors", "model-00002-of-00002.fp16.safetensors"],
    ],
)
def test_the_only_variant_is_taken_unasked(folder, files):
    rename(folder, "unet", *files)
    found = find(folder)
    assert (found.variant, names(found, "unet")) == ("fp16", files)


def test_a_variant_that_is_asked_for_is_read(folder):
    rename(folder, "unet", "model.safetensors", "model.fp16.safetensors", "model.ema.safetensors")
    assert names(find(folder, variant="fp16"), "unet") == ["model.fp16.safetensors"]


def test_a_variant_that_is_not_there_is_named(folder):
    with pytest.raises(BadModel, match=r"no .safetensors weights in unet of variant bf16"):
        find(folder, variant="bf16").weight_files("unet")


def test_hashes_go_by_the_name_inside_the_model(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert find(folder).sha256("unet") == {
        "unet/diffusion_pytorch_model.safetensors": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.pt"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(BadModel, match=r"is no \.safetensors file; pickled checkpoints are not read"):
        find(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", b"\xff" * 32])
def test_a_single_file_with_another_content_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(BadModel, match=r"model\.safetensors is no \.safetensors file"):
        find(tmp_path / "model.safetensors", work=tmp_path)


@pytest.mark.parametrize("word", ["/no/such/folder", "./model", "../model", "~/model", "model", "a/b/c", "Demo"])
def test_a_word_that_names_nothing_never_asks_the_hub(hub, word):
    hub(lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(BadModel, match=r"is no folder, no .safetensors file, no hub id \(owner/name\) and not demo"):
        find(word)


def test_a_hub_id_is_downloaded_by_diffusers_with_revision_and_variant(hub, folder):
    asked = []

    def download(model, **options):
        asked.append((model, options))
        return str(folder)

    hub(download)
    found = find("owner/my-model", variant="fp16", revision="abc")
    assert asked == [("owner/my-model", {"revision": "abc", "variant": "fp16", "use_safetensors": True})]
    assert (found.folder, found.source, found.revision, found.name) == (folder, "owner/my-model", "abc", "my-model")


def test_a_hub_that_can_not_be_reached_is_told_in_one_line(hub):
    def download(model, **options):
        raise OSError("\nWe couldn't connect\nto the hub\n")

    hub(download)
    with pytest.raises(BadModel, match=r"^owner/name is not on this disk and could .* hub: We couldn't connect$"):
        find("owner/name")


def test_an_error_without_words_is_told_by_its_class(hub):
    def download(model, **options):
        raise TimeoutError

    hub(download)
    with pytest.raises(BadModel, match=r"hub: TimeoutError$"):
        find("owner/name")


def test_a_folder_of_graphs_is_known_by_its_denoiser(folder):
    rename(folder, "unet", "model.onnx", "model.onnx_data")
    (folder / "vae_decoder").mkdir()
    (folder / "vae_decoder" / "config.json").write_text('{"latent_channels": 4}')
    found = find(folder)
    assert found.is_onnx
    assert names(found, "unet") == ["model.onnx", "model.onnx_data"]
    assert found.config("vae") == {"latent_channels": 4}


def test_a_folder_of_graphs_without_one_of_them_is_refused(folder):
    rename(folder, "unet", "model.onnx")
    with pytest.raises(BadModel, match="vae_encoder"):
        find(folder).weight_files("vae_encoder")
