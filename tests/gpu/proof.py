"""The order of a proof: compile, compare pictures, measure, measure what it is held against."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aquatint.bench.timing.vram import open_meter
from aquatint.demo import MODEL
from aquatint.tests.gpu import baseline, checkpoint, compiling, environment, printing, timing
from aquatint.tests.gpu.bars import bars
from aquatint.tests.gpu.calls import PROMPTS, SEED, Call, engine_calls, on_host, way_calls
from aquatint.tests.gpu.compared import BASELINE_DB, ENGINE_DB, GRAPHS_DB, HOST_LOOP_DB, compare, draw
from aquatint.tests.gpu.ledger import Ledger
from aquatint.tests.gpu.settings import DEMO, SMALL, Recipe, Settings, variants
from aquatint.tests.gpu.summary import figures
from aquatint.tests.gpu.timing import FIRST

GUIDANCE_SCALE = 7.5  # of timed pictures: both halves of the guidance are computed
RUNS = ("cold", "warm")  # the first process with empty caches of compiled kernels, and the next with what it left


class Refused(Exception):
    """This machine lacks what the proof is about; the message is one line."""


def prove(settings: Settings, folder: Path, work: Path, show: Callable[[str], object]) -> dict[str, Any]:
    """The whole proof; the result is written to `folder` after every stage.

    work: for checkpoints, bundles and pieces of compiles; it may be kept and used again.  show: is told each stage.
    Raises Refused.
    """
    ledger = Ledger(settings, folder.resolve(), show)
    Proof(ledger, work.resolve()).run()
    found = bars(figures(ledger.result))
    ledger.result["bars"] = [{**asdict(bar), "ratio": bar.ratio, "verdict": bar.verdict} for bar in found]
    ledger.save()
    return ledger.result


class Proof:
    """The stages, and what they hand on to each other."""

    def __init__(self, ledger: Ledger, work: Path) -> None:
        self.ledger, self.work, self.settings = ledger, work, ledger.settings
        self._bundles: dict[tuple[Recipe, str], dict[str, Any]] = {}

    def run(self) -> None:
        """All of it.  Raises Refused before anything slow; what fails later is recorded, and the rest goes on."""
        facts = self._environment()
        models = {model: self._checkpoint(model) for model in self.settings.models}
        for recipe in self.settings.recipes:
            source = models[recipe.model]
            for target in self._targets_of(recipe, facts):
                if source is not None:
                    self._compile(recipe, target, source)
        for recipe in self.settings.recipes:
            for target in facts["targets"]:
                self._pictures(recipe, target, facts["references"][target])
        for model in self.settings.timed:
            for recipe in self.settings.recipes:
                if (recipe.model, recipe.profile, recipe.batch) == (model, "balanced", 1):
                    self._figures(recipe, facts["targets"], models[model])

    def _environment(self) -> dict[str, Any]:
        job = environment.Job(self.settings.targets)
        entry = self.ledger.run("environment", "environment", job, {})
        if not entry["ok"]:
            raise Refused(entry["error"])
        facts: dict[str, Any] = entry["result"]
        if facts["gpu"] is not None:
            self.ledger.meter = open_meter(facts["gpu"]["bus_id"])
        self.ledger.result["environment"] = facts | {
            "vram_by": None if self.ledger.meter is None else self.ledger.meter.source,
            "baselines_left_out": self._left_out(facts),
        }
        return facts

    def _left_out(self, facts: dict[str, Any]) -> str | None:
        """Why Diffusers is not measured, or None."""
        torch = facts["torch"]
        if torch is None:
            return "PyTorch is not installed"
        if facts["gpu"] is not None and not torch["here"]:
            built = (
                "is a build for the CPU" if torch["cuda"] is None else f"is for CUDA {torch['cuda']}, and sees no GPU"
            )
            return f"PyTorch {torch['version']} {built}; install one for this GPU's CUDA"
        return None

    def _checkpoint(self, model: str) -> str | None:
        if model == DEMO:
            return str(MODEL)
        folder = self.work / "checkpoints" / model
        if not folder.is_dir():
            job = checkpoint.Job(model, str(folder))
            if not self.ledger.run("checkpoint", "checkpoint", job, {"model": model})["ok"]:
                return None
        return str(folder)

    def _targets_of(self, recipe: Recipe, facts: dict[str, Any]) -> Iterator[str]:
        """What the bundle is made for: the targets, and the CPU engines that its pictures are held against."""
        yield from facts["targets"]
        references = dict.fromkeys(facts["references"].values()) if recipe.model in SMALL and recipe.batch == 1 else ()
        yield from (found for found in references if found is not None and found not in facts["targets"])

    def _compile(self, recipe: Recipe, target: str, source: str) -> None:
        output = self.work / "bundles" / f"{recipe.name}-{target.replace(':', '-')}"
        job = compiling.Job(recipe, source, target, str(output), str(self.work / "cache"))
        what = {"model": recipe.model, "target": target, "profile": recipe.profile, "batch": recipe.batch}
        entry = self.ledger.run("compile", "compiling", job, what)
        if entry["ok"]:
            self._bundles[recipe, target] = {"folder": str(output), **entry["result"]}

    def _pictures(self, recipe: Recipe, target: str, reference: str | None) -> None:
        made = self._bundles.get((recipe, target))
        if made is None:
            return  # its compile is recorded as failed
        ways = way_calls(self.settings.steps)
        all_calls = engine_calls(self.settings.steps) if recipe.model in SMALL else ways
        ours = self._printed(recipe, target, made, (*all_calls, *map(on_host, ways)), {})
        plain = self._printed(recipe, target, made, ways, {"graphs": False})
        if ours is None or plain is None:
            return
        model, profile, files = recipe.model, recipe.name, ours["files"]
        self._check_loop(recipe, target, set(ours["resident"]))
        hosted = {call.name: files[on_host(call).name] for call in ways}
        self.ledger.compared(model, profile, compare(target, "graphs off", files, plain["files"], GRAPHS_DB))
        self.ledger.compared(model, profile, compare(target, "loop on the host", files, hosted, HOST_LOOP_DB))
        if recipe.model not in SMALL:
            return
        beside = Recipe(recipe.model, recipe.profile)  # what is printed must not depend on the batch
        theirs_made = None if reference is None else self._bundles.get((beside, reference))
        if reference is None or theirs_made is None:
            what = {"model": model, "target": target, "profile": profile}
            self.ledger.fail("pictures", what, "there is no bundle for a CPU to compare with")
            return
        theirs = self._printed(beside, reference, theirs_made, all_calls, {})
        if theirs is not None:
            least, others = ENGINE_DB[recipe.profile], theirs["files"]
            self.ledger.compared(model, profile, compare(target, reference, files, others, least))
            file = self.ledger.folder / f"pictures-{profile}-{target.replace(':', '-')}.png"
            draw(f"{profile} on {target} and {reference}", (target, reference), all_calls, files, others, file)

    def _check_loop(self, recipe: Recipe, target: str, resident: set[str]) -> None:
        """On a GPU, the two loops that are compared must be two."""
        if not environment.needs_gpu((target,)):
            return
        for call in way_calls(self.settings.steps):
            if call.name not in resident or on_host(call).name in resident:
                what = {"model": recipe.model, "target": target, "profile": recipe.name}
                self.ledger.fail("pictures", what, f"{call.name}: its loop ran elsewhere than it was to")

    def _printed(
        self, recipe: Recipe, target: str, made: dict[str, Any], calls: tuple[Call, ...], options: dict[str, Any]
    ) -> dict[str, Any] | None:
        """What printing.do gave.  A bundle that several are held against is printed once."""
        key = f"printed {', '.join(call.name for call in calls)} {options}"
        if key not in made:
            what = {"model": recipe.model, "target": target, "profile": recipe.name, "options": options}
            made[key] = self.ledger.run("pictures", "printing", printing.Job(made["folder"], calls, options), what)[
                "result"
            ]
        found: dict[str, Any] | None = made[key]
        return found

    def _figures(self, recipe: Recipe, targets: list[str], source: str | None) -> None:
        size, printed = None, {}
        for target in targets:
            made = self._bundles.get((recipe, target))
            if made is None:
                continue
            size = made["size"][0]
            for name, options in {"defaults": {}, **variants(target, self.settings)}.items():
                job = timing.Job(made["folder"], self._call(size), self.settings.repeats, options)
                caches = self._caches(f"{recipe.name}-{target}-{name}")
                for run in RUNS if name == "defaults" else RUNS[1:]:
                    what = {"model": recipe.model, "name": target, "variant": name, "run": run}
                    entry = self.ledger.run("figures", "timing", job, what, caches)
                    if entry["ok"] and name == "defaults":
                        printed[target] = entry["result"]["picture"]
        if source is None or size is None or self.ledger.result["environment"]["baselines_left_out"]:
            return
        for name in self.settings.baselines:
            against = baseline.Job(source, name, self._call(size), self.settings.repeats)
            caches = self._caches(f"{recipe.name}-diffusers-{name}")
            for run in RUNS:
                title = f"diffusers {name}"
                what = {"model": recipe.model, "name": title, "variant": baseline.MODES[name] or "", "run": run}
                entry = self.ledger.run("baseline", "baseline", against, what, caches)
            if entry["ok"]:
                theirs = {FIRST: [entry["result"]["picture"]]}
                for target, file in printed.items():
                    self.ledger.compared(
                        recipe.model, recipe.name, compare(target, title, {FIRST: [file]}, theirs, BASELINE_DB)
                    )

    def _call(self, size: int) -> timing.Call:
        return timing.Call(PROMPTS[0], SEED, self.settings.steps, GUIDANCE_SCALE, size)

    def _caches(self, name: str) -> dict[str, str]:
        """Empty folders for the kernels that drivers and compilers keep, so that a first process is a first one."""
        root = self.work / "kernels" / name.replace(":", "-").replace(" ", "-").replace(",", "")
        shutil.rmtree(root, ignore_errors=True)
        kinds = {"CUDA_CACHE_PATH": "cuda", "TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
        for kind in kinds.values():
            (root / kind).mkdir(parents=True)
        return {word: str(root / kind) for word, kind in kinds.items()}
