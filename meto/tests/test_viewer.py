"""The traversal viewer: what goes into its page, and the page itself in headless Chromium."""

import base64
import io
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meto import Engine, NaiveEngine
from meto.viewer import play_decoding, play_encoding, render_page

BACKENDS = ("LR_ABSCO", "LR", "CLERS")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

# ---- what goes into the page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_playback_takes_the_stream_apart(mesh, backend):
    engine = Engine(64, backend=backend)
    tokens, _, face_type = engine.encode(mesh[0] * 0.45, mesh[1])
    playback = play_decoding(tokens, engine)
    assert playback.num_faces == len(mesh[1])
    groups = np.split(tokens, playback.group_start[1:-1])
    ops = np.array([group[0] for group in groups])
    np.testing.assert_array_equal(ops, playback.arriving)
    np.testing.assert_array_equal(face_type, playback.leaving)
    bom = engine.grammar.class_names.index("BOM")
    for group in groups:
        assert len(group) - 2 * (backend == "CLERS" and group[-1] < 7) == (10 if group[0] == bom else 4)
    # An op that is not a sub-mesh's first is the one by which the face before was left.
    inside = playback.arriving[1:] != bom
    np.testing.assert_array_equal(playback.arriving[1:][inside], playback.leaving[:-1][inside])
    decoded_vertices, decoded_faces, _ = engine.decode(tokens)
    centres = (playback.cells.astype(np.float32) + 0.5) / 64 * 2 - 1
    np.testing.assert_allclose(centres, decoded_vertices[decoded_faces], atol=1e-6)


def test_naive_playback_has_nine_tokens_a_face(zoo):
    engine = NaiveEngine(64)
    playback = play_encoding(*zoo["torus"], engine)
    assert (playback.mode, playback.backend, playback.num_faces) == ("encoding", "naive", 96)
    assert set(np.diff(playback.group_start)) == {9}
    assert '"classes": ["face"]' in render_page(playback, "torus")


def test_broken_streams_play_up_to_the_error(zoo):
    engine = Engine(64)
    tokens = engine.encode(*zoo["torus"])[0]
    tokens[50] = -7
    playback = play_decoding(tokens, engine)
    assert playback.violation is not None
    assert playback.violation.position == 50
    assert playback.num_faces == 11
    assert playback.group_start[-1] == 50
    assert "token 50: " in render_page(playback, "torus")
    with pytest.raises(ValueError, match=r"token 0"):
        play_decoding([5, 5], engine)


def test_page_is_self_contained(zoo):
    page = render_page(play_encoding(*zoo["patch"], Engine(64)), title="</script><b>&.obj")
    assert not re.search(r"(https?:)?//[a-z0-9.]+\.[a-z]{2,}/|\bsrc=|<link|@import|url\(|fetch\(|XMLHttpRequest", page)
    assert "{{" not in page
    assert page.count("</script>") == 1
    assert "<b>&" not in page
    data = json.loads(re.search(r"const DATA = (.*);\n", page)[1])
    assert data["title"] == "</script><b>&.obj"
    assert len(base64.b64decode(data["arriving"])) == 112


# ---- the page in a browser ------------------------------------------------------------------------------------------

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
    "--window-size=1100,760",
]


class Browser:
    """A Chromium that chromedriver steers, over the WebDriver protocol."""

    def __init__(self, profile: Path) -> None:
        self.driver = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            self.base = self.start_session(profile)
        except BaseException:
            self.driver.kill()
            raise

    def start_session(self, profile: Path) -> str:
        """The address of a new session."""
        ports = (re.search(r"started successfully on port (\d+)", line) for line in self.driver.stdout)
        self.base = f"http://127.0.0.1:{next(port for port in ports if port)[1]}/session"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self.call("", {"capabilities": {"alwaysMatch": capabilities}})
        return f"{self.base}/{answer['sessionId']}"

    def call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        return self.call("/execute/sync", {"script": script, "args": []})

    def open(self, page: Path, commands: str = "") -> None:
        self.call("/url", {"url": "about:blank"})  # the same page with other commands would not be loaded anew
        self.call("/url", {"url": f"{page.as_uri()}#{commands}"})

    def wait_for(self, condition: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition} did not come true"
            time.sleep(0.05)

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: what the page shows, without its cards."""
        image = pytest.importorskip("PIL.Image")
        self.run("document.documentElement.setAttribute('data-bare', '')")
        return np.asarray(image.open(io.BytesIO(base64.b64decode(self.call("/screenshot")))).convert("RGB"))

    def errors(self) -> list[str]:
        log = self.call("/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def close(self) -> None:
        try:
            self.call("", method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait(20)
            self.driver.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, zoo) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    engine, clers = Engine(128), Engine(128, backend="CLERS")
    playbacks = {
        "encoding": play_encoding(*zoo["torus"], engine),
        "decoding": play_decoding(clers.encode(*zoo["two_tori"])[0], clers),
        "naive": play_encoding(*zoo["patch"], NaiveEngine(128)),
    }
    for name, playback in playbacks.items():
        (folder / f"{name}.html").write_text(render_page(playback, name), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in playbacks}


def blue_and_orange(picture: np.ndarray) -> tuple[int, int]:
    """The number of pixels in the hue of L and in that of R, lit or in shadow."""
    red, blue = picture[..., 0].astype(int), picture[..., 2].astype(int)
    return int((blue > red + 50).sum()), int((red > blue + 50).sum())


@pytest.mark.parametrize("name", ["encoding", "decoding", "naive"])
def test_page_loads_without_errors_and_draws(browser, pages, name):
    browser.open(pages[name], "frame=40&theme=dark")
    assert browser.run("return player.state.frame") == 40
    assert browser.run("return player.drawnPixels()") > 5000
    browser.wait_for("document.getElementById('position').textContent.startsWith('face 40 of')")
    assert browser.run("return document.getElementById('error').hidden")
    assert browser.errors() == []


def test_screenshot_shows_the_ops_in_their_colours(browser, pages):
    browser.open(pages["encoding"], "frame=0&theme=dark&path=0&starts=0")
    browser.wait_for("document.getElementById('position').textContent.startsWith('face 0')")
    before = browser.picture()
    browser.open(pages["encoding"], "frame=96&theme=dark&path=0&starts=0")
    browser.wait_for("document.getElementById('position').textContent.startsWith('face 96')")
    after = browser.picture()
    assert after.shape == before.shape
    assert blue_and_orange(before) == (0, 0)
    assert min(blue_and_orange(after)) > 1000


def test_decoding_starts_empty_and_grows(browser, pages):
    browser.open(pages["decoding"], "frame=0&starts=0")
    counts = []
    for frame in (0, 10, 60, 192):
        browser.run(f"player.seek({frame})")
        counts.append(browser.run("return player.drawnPixels()"))
    assert counts[0] == 0
    assert counts[0] < counts[1] < counts[2] < counts[3]
    # Encoding shows the faces to come from the start.
    browser.open(pages["encoding"], "frame=0")
    assert browser.run("return player.drawnPixels()") > 5000


def test_play_goes_on_to_the_end_and_pauses(browser, pages):
    browser.open(pages["encoding"], "speed=40")
    assert browser.run("return player.state.playing") is False
    browser.run("document.getElementById('play').click()")
    browser.wait_for("player.state.frame > 3")
    browser.run("document.getElementById('play').click()")
    stopped = browser.run("return player.state.frame")
    time.sleep(0.3)
    assert browser.run("return player.state.frame") == stopped
    assert 3 < stopped < 96
    browser.open(pages["encoding"], "speed=2000&play=1")
    browser.wait_for("player.state.frame === player.numFaces && !player.state.playing")
    # Play at the end is from the start again.
    assert browser.run("document.getElementById('play').click(); return player.state.frame") == 0


def test_slider_steps_keys_and_legend(browser, pages):
    browser.open(pages["encoding"])
    browser.run("const s = document.getElementById('slider'); s.value = 25; s.dispatchEvent(new Event('input'))")
    assert browser.run("return player.state.frame") == 25
    browser.run("document.getElementById('forward').click()")
    assert browser.run("return player.state.frame") == 26
    browser.run("for (const _ of [1, 2, 3]) document.getElementById('back').click()")
    assert browser.run("return player.state.frame") == 23
    browser.run("window.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    assert browser.run("return player.state.frame") == 24
    browser.run("window.dispatchEvent(new KeyboardEvent('keydown', {key: 'End'}))")
    assert browser.run("return player.state.frame") == 96
    browser.wait_for("Number(document.getElementById('slider').value) === 96")
    # At the end the legend's counts are the whole stream's, and they add up.
    text = browser.run("return [...document.querySelectorAll('.entry .count')].map((e) => e.textContent)")
    pairs = [[int(n) for n in entry.split("/")] for entry in text]
    assert all(shown == total for shown, total in pairs)
    assert sum(total for _, total in pairs) == 96


def test_token_group_and_submesh_starts(browser, pages, zoo):
    tokens = Engine(128, backend="CLERS").encode(*zoo["two_tori"])[0]
    browser.open(pages["decoding"], "frame=1")
    browser.wait_for("document.getElementById('current').children.length === 10")
    chips = browser.run("return [...document.getElementById('current').children].map((c) => c.textContent)")
    assert chips == ["BOM", *map(str, tokens[1:10])]
    second = int(np.flatnonzero(tokens == 5)[1])
    face = (second - 8 - 4) // 4 + 1 + 1  # the first sub-mesh has 10 + 4 (n - 1) + 2 tokens
    browser.run(f"player.seek({face})")
    # The page draws a frame later: the first sub-mesh's BOM may still stand there.
    browser.wait_for(f"document.getElementById('meaning').textContent.replace(/,/g, '').includes('{second}')")
    assert browser.run("return document.querySelector('#current .op').textContent") == "BOM"


def test_dragging_turns_and_the_wheel_zooms(browser, pages):
    browser.open(pages["encoding"], "frame=96")
    before = browser.run("const c = player.scene.camera; return [c.yaw, c.pitch, c.zoom]")
    actions = [
        {"type": "pointerMove", "x": 300, "y": 300, "duration": 0},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "x": 400, "y": 340, "duration": 50},
        {"type": "pointerUp", "button": 0},
    ]
    for kind in ("mouse", "touch"):
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}
        browser.call("/actions", {"actions": [pointer]})
        after = browser.run("const c = player.scene.camera; return [c.yaw, c.pitch, c.zoom]")
        assert after[0] < before[0] - 0.5
        assert after[1] > before[1] + 0.2
        before = after
    wheel = {"type": "scroll", "x": 300, "y": 300, "deltaX": 0, "deltaY": -300, "duration": 0}
    browser.call("/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [wheel]}]})
    browser.wait_for(f"player.scene.camera.zoom > {before[2]} * 1.2")


def test_commands_in_the_address(browser, pages):
    browser.open(pages["encoding"], "frame=12&yaw=1.5&colour=order&bare=1&theme=light&todo=0")
    assert browser.run("return player.scene.camera.yaw") == 1.5
    assert browser.run("return document.getElementById('colour').value") == "order"
    assert browser.run("return getComputedStyle(document.getElementById('dock')).display") == "none"
    assert browser.run("return document.documentElement.dataset.theme") == "light"
    browser.run("location.hash = 'frame=50&bare=0'")
    browser.wait_for("player.state.frame === 50")
    assert browser.run("return getComputedStyle(document.getElementById('dock')).display") != "none"
