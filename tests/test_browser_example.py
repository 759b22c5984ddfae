"""The example page for browsers, with a runtime that repeats each pixel in the place of ort."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import REPOSITORY
from helpers.images import save
from PIL import Image

BROWSER = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
PAGE = REPOSITORY / "examples/browser/index.html"
RUNTIME = """
window.tiles = [];
window.ort = {
  Tensor: class { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } },
  InferenceSession: { create: async () => ({ run: async ({ lr }) => {
    const [, h, w] = lr.dims, data = new Uint8Array(h * w * 12);
    window.tiles.push([h, w]);
    for (let i = 0; i < data.length; i++) {
      const c = i % 3, x = Math.floor(i / 3) % (2 * w), y = Math.floor(i / (6 * w));
      data[i] = lr.data[((y >> 1) * w + (x >> 1)) * 3 + c];
    }
    return { sr: { data, dims: [1, 2 * h, 2 * w, 3] } };
  } }) },
};
"""


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_page_upscales_an_image_by_tiles(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    lr = save(tmp_path / "lr.png", 150, 131)
    # Stands for a model: the property as protocol buffers store it, among other bytes.
    (tmp_path / "net.onnx").write_bytes(b"graph\x72\x0d\x0a\x07sr.halo\x12\x0214\x72\x00")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.route(
            re.compile("^https:"),
            lambda route: route.fulfill(body=RUNTIME, content_type="text/javascript"),
        )
        page.goto(PAGE.as_uri())
        page.set_input_files("#model", tmp_path / "net.onnx")
        page.set_input_files("#image", lr)
        page.select_option("#tile", "64")
        page.click("#run")
        page.wait_for_function("/Done|Failed/.test(document.getElementById('status').textContent)")
        assert page.inner_text("#status") == "Done."
        sides = [[h, w] for h in (78, 81, 17) for w in (78, 92, 36)]
        assert page.evaluate("tiles") == sides
        address = page.evaluate("document.getElementById('result').toDataURL('image/png')")
        browser.close()
    (tmp_path / "sr.png").write_bytes(base64.b64decode(address.partition(",")[2]))
    found = np.asarray(Image.open(tmp_path / "sr.png").convert("RGB"))
    assert np.array_equal(found, np.asarray(Image.open(lr)).repeat(2, 0).repeat(2, 1))
