"""`sr benchmark --ocr`: models judged by what an OCR program (Tesseract) reads in their results."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.datasets import images_in
from sr_cli.evaluation.measure import Pixels, read_8_bit
from sr_cli.evaluation.plan import ImageProgress, OnEvent, resolve_models
from sr_cli.evaluation.reading import Reading, compare_texts, sum_of

INPUT = "input"
"""The row of the images as they are, not upscaled."""

_SUFFIX = ".gt.txt"
_SECONDS = 600


@dataclass(frozen=True)
class Page:
    """An image of text and the text."""

    name: str
    path: Path
    text: str


@dataclass
class OcrRow:
    """How one model's results were read.

    Attributes:
        model: An id, `bicubic`, a file's name, or `input`.
        scale: What images were upscaled by; 1 for `input`.
        pages: Readings by the page's name.
        errors: Of pages that could not be upscaled or read.
        error: Why the model could not be measured.
    """

    model: str
    scale: int
    pages: dict[str, Reading] = field(default_factory=dict)
    errors: list[SrError] = field(default_factory=list)
    error: SrError | None = None

    @property
    def total(self) -> Reading:
        """All pages as one."""
        return sum_of(self.pages.values())


@dataclass(frozen=True)
class OcrReport:
    """What was read through each model.

    Attributes:
        language: As Tesseract names it.
        rows: The input, bicubic, then the models.
    """

    language: str
    rows: Sequence[OcrRow]

    @property
    def errors(self) -> list[SrError]:
        """Pages and models that failed."""
        failed = [SrError("model-failed", r.model, cause=r.error) for r in self.rows if r.error]
        pages = [e for row in self.rows for e in row.errors]
        return [*{(e.code, e.subject, repr(e.facts)): e for e in pages}.values(), *failed]


def benchmark_ocr(
    folders: Sequence[str | Path],
    *,
    language: str,
    models: Sequence[str | Path] | None = None,
    scale: int = 2,
    engine: EngineOptions | None = None,
    on_event: OnEvent | None = None,
) -> OcrReport:
    """Upscale images of text, let Tesseract read the results, and count the errors.

    Args:
        folders: Of images, each FILE with its text beside it in FILE.gt.txt (UTF-8; FILE without
            the suffix of its format).
        language: Of Tesseract: `eng`, or several as `eng+deu`.
        models: Networks, ids or files; None for all with weights. Bicubic and the images as they
            are come first.
        scale: The scale: 2, 3 or 4.
        engine: How to compute.
        on_event: Called with progress.

    Raises:
        RefusedError: `tesseract-not-found`, `unknown-value` for a language that is not installed,
            `folder-not-found`, `no-images-in-folder`, `text-missing`, and as `resolve_models`.
    """
    reader = Tesseract.find(language)
    pages = _named_apart([page for folder in folders for page in open_pages(Path(folder))])
    resolved = resolve_models(list(models) if models else None, scale, on_event)
    rows = [OcrRow(INPUT, 1), *(OcrRow(m.name, scale) for m in resolved)]
    done = 0
    for row, model in zip(rows, [None, *resolved], strict=True):
        try:
            options = engine or EngineOptions()
            pipeline = None if model is None else build_pipeline([model.ref], scale, options)
        except SrError as error:
            row.error = error
            continue
        for page in pages:
            done += 1
            failure = _read_page(row, page, pipeline, reader)
            if on_event is not None:
                names = (row.model, str(page.path.parent), page.name)
                on_event(ImageProgress(*names, done, len(rows) * len(pages), failure))
    return OcrReport(language, rows)


def _read_page(
    row: OcrRow, page: Page, pipeline: Pipeline | None, reader: Tesseract
) -> SrError | None:
    """Add a page's reading to a row, or the error, which is returned."""
    try:
        lr = read_8_bit(page.path)
        size = (lr.shape[0] * row.scale, lr.shape[1] * row.scale)
        read = reader.read(lr if pipeline is None else pipeline.run(lr, size))
    except SrError as error:
        row.errors.append(error.about(page.path))
        return row.errors[-1]
    row.pages[page.name] = compare_texts(page.text, read)
    return None


def open_pages(folder: Path) -> list[Page]:
    """The images of a folder with their texts.

    Raises:
        RefusedError: `folder-not-found`, `no-images-in-folder`, `text-missing`, `unreadable-text`.
    """
    if not folder.is_dir():
        raise RefusedError("folder-not-found", folder)
    return [
        Page(f"{folder.name}/{path.stem}", path, _text_of(path.with_suffix(_SUFFIX)))
        for path in images_in(folder)
    ]


def _named_apart(pages: Sequence[Page]) -> list[Page]:
    """Each page once; those that share a name (eng/1 of two folders) are called by their paths."""
    pages = list({page.path.resolve(): page for page in pages}.values())
    names = Counter(page.name for page in pages)
    return [replace(p, name=str(p.path)) if names[p.name] > 1 else p for p in pages]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RefusedError("text-missing", path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError("unreadable-text", path, reason=str(error)) from error


@dataclass(frozen=True)
class Tesseract:
    """The OCR program, with a language."""

    program: str
    language: str

    @staticmethod
    def find(language: str) -> Tesseract:
        """Find the program on the path.

        Raises:
            RefusedError: `tesseract-not-found`; `unknown-value` for a language it does not have.
        """
        program = shutil.which("tesseract")
        if program is None:
            raise RefusedError("tesseract-not-found", "--ocr")
        listed = _run([program, "--list-langs"], b"").splitlines()[1:]
        known = sorted(name for name in listed if name != "osd")
        for name in language.split("+"):
            if name not in known:
                raise RefusedError("unknown-value", "--ocr", value=name, known=known)
        return Tesseract(program, language)

    def read(self, image: Pixels) -> str:
        """The text that it reads in an image (h, w[, 3]).

        Raises:
            SrError: `tesseract-failed`.
        """
        command = [self.program, "stdin", "stdout", "-l", self.language]
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        return _run(command, file.getvalue())


def _run(command: list[str], given: bytes) -> str:
    # Its threads wait for each other: one is no slower, and leaves the others their cores.
    environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, env=environment, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        lines = said.decode(errors="replace").strip().splitlines()
        raise SrError("tesseract-failed", command[0], reason=lines[-1] if lines else "") from error
    return done.stdout.decode("utf-8", errors="replace")
