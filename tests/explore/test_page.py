"""The page in Chromium: each part, what is typed into it, two tabs, keys, and what it fetches."""

import json
import re
import time
from urllib.parse import urlsplit

import pytest

from tests.explore.conftest import Server

SECONDS = 30
PROMPT = "1 2 + 3 4 ="


class Visitor:
    """Somebody with the page in a tab of their own."""

    def __init__(self, chromium, url):
        self.chromium = chromium
        chromium.switch_to.new_window("tab")
        self.tab = chromium.current_window_handle
        chromium.get(url)
        self.until("document.querySelector('main > section:not([hidden])')")

    def here(self):
        self.chromium.switch_to.window(self.tab)
        return self

    def js(self, script, *arguments):
        return self.chromium.execute_script(f"return {script}", *arguments)

    def until(self, script, seconds=SECONDS):
        end = time.monotonic() + seconds
        while not (found := self.js(script)):
            assert time.monotonic() < end, f"never: {script}"
            time.sleep(0.05)
        return found

    def find(self, css):
        return self.chromium.find_element("css selector", css)

    def texts(self, css):
        return self.js(f"[...document.querySelectorAll('{css}')].map((each) => each.textContent)")

    def turn_to(self, part):
        self.find(f"nav a[href='#{part}']").click()
        self.until(f"!document.getElementById('{part}').hidden")

    def type(self, css, text):
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def turn(self, css, value):
        """A knob."""
        script = "((knob) => { knob.value = %s; knob.dispatchEvent(new Event('input')); })"
        self.js(f"({script % value})(document.querySelector('{css}'))")

    def ask(self, part, wait=True):
        self.find(f"#{part} button.main").click()
        return self.done(part) if wait else None

    def done(self, part):
        self.until(f"document.getElementById('{part}').getAttribute('aria-busy') === 'false'")
        return self.find(f"#{part} .alert").text


@pytest.fixture
def visitor(chromium, server):
    first = chromium.current_window_handle
    found = Visitor(chromium, server.url)
    yield found
    for tab in chromium.window_handles:
        if tab != first:
            chromium.switch_to.window(tab)
            chromium.close()
    chromium.switch_to.window(first)
    chromium.get_log("browser")  # what was refused on purpose is no fault of another test's


def number(text):
    return float(text.replace("\u2212", "-").rstrip("%"))


def test_writing(visitor, server):
    """The points, the table and the draws are those that the server tells."""
    visitor.turn("[name=proposals]", 2)
    visitor.type("#prompt", PROMPT)
    visitor.turn("[name=length]", 3)
    assert visitor.ask("write") == ""
    told = server.ask("write", prompt=PROMPT, proposals=64, draws=3, length=3)
    proposals = [each for e in told if e["event"] == "proposals" for each in e["proposals"]]
    shares, draws = told[-1]["shares"], {draw["index"] for draw in told[-1]["draws"]}
    assert visitor.js("document.querySelectorAll('.scatter .proposal').length") == 64
    assert visitor.js("document.querySelectorAll('.scatter .chosen').length") == len(draws)
    rows = visitor.js(
        "[...document.querySelectorAll('.proposals tbody tr')].map((row) => [row.dataset.index, "
        "row.className, ...[...row.cells].map((cell) => cell.textContent)])"
    )
    assert len(rows) == 64
    for index, name, _, share, energy, log_p in rows:
        own = proposals[int(index)]
        assert number(share) == pytest.approx(100 * shares[int(index)], abs=0.0501)
        assert number(energy) == pytest.approx(own["energy"], abs=0.00501)
        assert number(log_p) == pytest.approx(own["log_p"], abs=0.00501)
        assert (name == "chosen") == (int(index) in draws)
    assert [number(row[3]) for row in rows] == sorted((number(r[3]) for r in rows), reverse=True)
    assert f"{told[-1]['ess']:.1f} of equal weight" in visitor.find("#write .status").text
    assert len(visitor.texts(".draws li")) == 3 == len(visitor.texts(".base li"))
    assert "fairseq-interactive" in visitor.texts(".shell pre")[0]
    visitor.find("[data-key=energy]").click()
    energies = [number(text) for text in visitor.texts(".proposals tbody td:nth-child(3)")]
    assert energies == sorted(energies)
    sorted_by = (
        "document.querySelector('[data-key=energy]').parentElement.getAttribute('aria-sort')"
    )
    assert visitor.js(sorted_by) == "ascending"


def test_long_tables_are_shown_in_part(visitor):
    visitor.type("#prompt", PROMPT)
    visitor.ask("write")  # 256 proposals
    assert visitor.js("document.querySelectorAll('.proposals tbody tr').length") == 100
    visitor.find("#write .all").click()
    assert visitor.js("document.querySelectorAll('.proposals tbody tr').length") == 256


def test_stop(visitor, server):
    visitor.type("#prompt", PROMPT)
    visitor.turn("[name=proposals]", 8)
    visitor.ask("write", wait=False)
    visitor.until("document.querySelector('#write progress').value > 0")
    visitor.find("#write .stop").click()
    visitor.until("document.querySelector('#write .status').textContent === 'Stopped.'", 2)
    count = visitor.js("document.querySelectorAll('.scatter .proposal').length")
    time.sleep(0.5)
    assert 0 < visitor.js("document.querySelectorAll('.scatter .proposal').length") == count < 4096
    assert visitor.js("document.querySelector('#write .stop').disabled")
    visitor.turn("[name=proposals]", 0)
    visitor.ask("write")
    assert "16 proposals" in visitor.find("#write .status").text


WHEN_DONE = """((section) => new MutationObserver(() => {
    if (section.getAttribute('aria-busy') === 'false') window.doneAt = Date.now();
}).observe(section, { attributes: true }))(document.getElementById('write'))"""


def test_two_tabs_do_not_mix(visitor, chromium, server):
    """Nor does the one that asks for little wait for the one that asks for much."""
    visitor.type("#prompt", PROMPT)
    visitor.turn("[name=proposals]", 8)
    visitor.js(WHEN_DONE)
    other = Visitor(chromium, server.url)
    other.type("#prompt", "7 7 + 1 1 =")
    other.turn("[name=proposals]", 1)
    other.js(WHEN_DONE)
    visitor.here().ask("write", wait=False)
    other.here().ask("write")
    assert all("7 7 + 1 1" in text for text in other.texts(".draws .given"))
    earlier = other.js("window.doneAt")
    visitor.here().done("write")
    assert earlier < visitor.js("window.doneAt")
    assert all(PROMPT in text for text in visitor.texts(".draws .given"))


def test_how_likely_and_what_could_stand_there(visitor, server):
    visitor.turn_to("likely")
    visitor.type("#prefix", PROMPT)
    visitor.type("#continuation", "0 4 6")
    visitor.ask("likely")
    told = server.ask("likely", prefix=PROMPT, continuation="0 4 6", samples=256)
    cells = visitor.texts(".figures td")
    assert number(cells[0]) == pytest.approx(told[-1]["base_ppl"], abs=0.00501)
    assert number(cells[2]) == pytest.approx(told[-1]["joint_ppl"], abs=0.00501)
    low, high = (number(part) for part in cells[3].split(" to "))
    assert (low, high) == pytest.approx(told[-1]["joint_ppl_ci95"], abs=0.00501)
    assert len(visitor.texts(".bars button")) == 9
    assert visitor.texts(".bars .given") == [text for text in visitor.texts(".bars button")[:6]]
    visitor.find(".bars li:nth-child(8) button").click()
    visitor.until("document.querySelectorAll('.next tbody tr').length")
    rows = server.ask("next", prefix=PROMPT, continuation="0 4 6", position=7)[-1]["rows"]
    shown = [number(text) for text in visitor.texts(".next tbody td:nth-child(4)")]
    assert shown == pytest.approx([100 * row["joint"] for row in rows], abs=0.0501)
    assert len(visitor.texts(".next tbody .chosen")) == 1


def test_real_or_generated(visitor, server):
    text = f"{PROMPT} 0 4 6"
    visitor.turn_to("judge")
    visitor.type("#text", text)
    visitor.ask("judge")
    told = {each["event"]: each for each in server.ask("judge", text=text)}
    energy = told["begin"]["energy"]
    assert f"Energy {energy:.3f}".replace("-", "\u2212") in visitor.find(".verdict").text
    assert "9 tokens are few" in visitor.find("#judge .warnings").text
    label = visitor.find(".histogram").get_attribute("aria-label")
    assert f"{energy:.2f}".replace("-", "\u2212") in label
    assert visitor.js("document.querySelectorAll('.histogram .bar-real').length") == 40
    assert len(visitor.texts(".colours button")) == 9
    assert (
        len(visitor.texts(".edits tbody tr")) == 3 and len(visitor.texts(".attacks tbody tr")) == 6
    )
    visitor.find(".colours li:nth-child(3) button").click()
    assert "of the language model's list" in visitor.find(".detail").text
    visitor.js("(document.querySelector('#judge select').value = 'rank')")
    visitor.js("document.querySelector('#judge select').dispatchEvent(new Event('change'))")
    assert "ranks the token" in visitor.find("#judge .legend").text


def test_the_report_of_a_run(visitor):
    visitor.turn_to("results")
    visitor.until("document.querySelector('#results .status').textContent === ''")
    visitor.chromium.switch_to.frame(visitor.find("#results iframe"))
    assert "Perplexity" in visitor.find("h2").text
    visitor.chromium.switch_to.default_content()


SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


def test_a_prompt_is_text(visitor):
    """Whatever it spells; half of this the vocabulary of sums knows."""
    visitor.type("#prompt", f"{SCRIPT} " + " ".join(["1 2 + 3"] * 8))
    visitor.ask("write")
    assert "taken" not in visitor.js("document.title") and visitor.texts(".draws .given")
    assert visitor.js("document.querySelectorAll('main img, main script').length") == 0


TOLD = {
    "judge": [
        {"event": "begin", "tokens": [{"text": SCRIPT, "log_p": -1, "rank": 1}], "energy": 0,
         "rest": SCRIPT},
        {"event": "verdict", "warnings": [SCRIPT]},
        {"event": "changes", "first": 0, "changes": [1], "others": [SCRIPT]},
        {"event": "edits", "why_not": SCRIPT},
        {"event": "attack", "name": SCRIPT, "is_same": True},
        {"event": "end"},
    ],
    "likely": [
        {"event": "tokens", "tokens": [{"text": SCRIPT, "log_p": -1}], "prefix_tokens": 0,
         "base_ppl": 1, "warnings": [SCRIPT]},
        {"event": "end", "energy": 0, "log_z": 0, "log_z_error": 0, "log_z_lower": 0, "ess": 1,
         "log_z_upper": 0, "base_ppl": 1, "joint_ppl": 1, "joint_ppl_ci95": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("part", TOLD)
def test_what_the_server_tells_is_text(visitor, part):
    """Of any vocabulary: told here in place of the server."""
    lines = "".join(f"{json.dumps(each)}\n" for each in TOLD[part])
    visitor.js(
        "((lines) => { window.fetch = async () => new Response(lines); })(arguments[0])", lines
    )
    visitor.turn_to(part)
    for field in visitor.js(f"[...document.querySelectorAll('#{part} textarea')].map((f) => f.id)"):
        visitor.type(f"#{field}", "1")
    assert visitor.ask(part) == ""
    assert visitor.texts(f"#{part} .tokens button") == [SCRIPT]
    assert visitor.texts(f"#{part} .warnings li") == [SCRIPT]
    assert "taken" not in visitor.js("document.title")
    assert visitor.js("document.querySelectorAll('main img, main script').length") == 0


@pytest.mark.parametrize("letters", ["1 ", "\u5b57\u5b57"])
def test_a_long_text_is_refused_politely(visitor, letters):
    visitor.turn_to("judge")
    script = "(document.querySelector('#text').value = arguments[0].repeat(%d))"
    for times, count in ((50_000, "100,000"), (150_000, "300,000")):
        visitor.js(script % times, letters)
        visitor.ask("judge")
        expected = f"Text: {count} characters; 20,000 are the most"
        assert visitor.find("#judge .alert").text == expected
    visitor.type("#text", f"{PROMPT} 0 4 6")
    visitor.ask("judge")
    assert visitor.find("#judge .alert").text == "" and visitor.find(".verdict").text


def test_with_keys_alone(visitor):
    """Tab to the first link, into the form, Enter on the button, arrows from token to token."""
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415 (an extra)

    def press(*keys):
        for key in keys:
            visitor.chromium.switch_to.active_element.send_keys(key)

    visitor.js("document.body.focus()")
    press(Keys.TAB)
    assert visitor.js("document.activeElement.className") == "skip"
    visitor.turn_to("judge")
    visitor.js("document.querySelector('.skip').focus()")
    press(Keys.ENTER)
    time.sleep(0.2)
    assert not visitor.js("document.getElementById('judge').hidden")
    visitor.js("document.querySelector('.skip').focus()")
    press(Keys.TAB, Keys.TAB, Keys.ENTER)
    visitor.until("!document.getElementById('likely').hidden")
    visitor.type("#prefix", PROMPT)
    press(Keys.TAB)
    press(Keys.CONTROL + "a")
    press("0 4 6")
    while not visitor.js("document.activeElement.matches('#likely button.main')"):
        press(Keys.TAB)
    press(Keys.ENTER)
    visitor.done("likely")
    while not visitor.js("document.activeElement.matches('.bars button')"):
        press(Keys.TAB)
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.END, Keys.ARROW_LEFT)
    place = "[...document.querySelectorAll('.bars button')].indexOf(document.activeElement)"
    assert visitor.js(place) == 7
    press(Keys.ENTER)
    visitor.until("document.querySelectorAll('.next tbody tr').length")
    assert visitor.js("document.activeElement.id") == "next-head"


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone(visitor, width):
    """Nothing is wider than the screen; letters of pictures are as large as others."""
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    visitor.chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        visitor.type("#prompt", PROMPT)
        texts = {"likely": {"prefix": PROMPT, "continuation": "0 4 6"}}
        texts["judge"] = {"text": f"{PROMPT} 0 4 6"}
        for part in ("write", "likely", "judge"):
            visitor.turn_to(part)
            for name, text in texts.get(part, {}).items():
                visitor.type(f"#{name}", text)
            visitor.ask(part)
            assert visitor.js("document.documentElement.scrollWidth") <= width
        box = visitor.js("document.querySelector('.histogram').viewBox.baseVal.width")
        assert box <= width
    finally:
        visitor.chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def contrast(one, other):
    def light(colour):
        parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


COLOURS = """[...document.querySelectorAll('.colours button')].map((button) => {
    const style = getComputedStyle(button);
    return [style.color, style.backgroundColor];
})"""


def over(colour, page):
    """A colour that may be transparent, as it is seen."""
    *parts, alpha = [*map(float, re.findall(r"[\d.]+", colour)), 1.0][:4]
    below = map(float, re.findall(r"[\d.]+", page))
    mixed = [round(alpha * a + (1 - alpha) * b) for a, b in zip(parts, below)]
    return f"rgb({', '.join(map(str, mixed))})"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_read_and_seen_stands_out(visitor, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    visitor.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        style = "getComputedStyle(document.querySelector('{}'))"
        page = visitor.js(f"{style.format('body')}.backgroundColor")
        for css, least in (("body", 7), ("header p", 4.5), ("footer", 4.5)):
            assert contrast(visitor.js(f"{style.format(css)}.color"), page) >= least
        made = (
            "((name) => { const e = document.createElement('i'); e.style.color = `var(${name})`; "
        )
        made += "document.body.append(e); return getComputedStyle(e).color; })"
        for name in ("--real", "--generated"):
            assert contrast(visitor.js(f"({made})('{name}')"), page) >= 3
        visitor.turn_to("judge")
        visitor.type("#text", f"{PROMPT} 0 4 6")
        visitor.ask("judge")
        for kind in ("change", "rank"):
            choose = "((s, kind) => { s.value = kind; s.dispatchEvent(new Event('change')); })"
            visitor.js(f"({choose})(document.querySelector('#judge select'), '{kind}')")
            for text, colour in visitor.js(COLOURS):
                assert contrast(text, over(colour, page)) >= 4.5, (kind, colour)
    finally:
        visitor.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_nothing_leaves_the_machine(visitor, server):
    """By the browser's own log of what it has fetched, and of what it refused."""
    visitor.chromium.get_log("performance")
    visitor.chromium.get_log("browser")
    visitor.chromium.refresh()
    for part in ("write", "likely", "judge", "results"):
        visitor.turn_to(part)
        if part != "results":
            visitor.ask(part)
    visitor.until("document.querySelector('#results .status').textContent === ''")
    log = [json.loads(e["message"])["message"] for e in visitor.chromium.get_log("performance")]
    sent = [
        e["params"]["request"]["url"] for e in log if e["method"] == "Network.requestWillBeSent"
    ]
    places = {urlsplit(url).netloc for url in sent if not url.startswith("data:")}
    assert places == {urlsplit(server.url).netloc} and len(sent) > 10
    assert visitor.chromium.get_log("browser") == []


def test_a_server_that_has_ended(visitor, chromium, flags):
    started = Server(flags["data"], "--path", flags["path"], "--cpu")
    try:
        found = Visitor(chromium, started.url)
        assert found.js("[...document.querySelectorAll('nav li:not([hidden])')].length") == 3
    finally:
        started.process.terminate()
        started.process.wait(20)
    found.type("#prompt", PROMPT)
    found.ask("write")
    assert "does not answer" in found.find("#write .alert").text
