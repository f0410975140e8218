"""The page: what is composed, and how it behaves in a browser under real clicks and keys."""

import itertools
import json
import random
import re
import time
from collections import Counter

import numpy as np
import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.human_eval.ballots import Key, read_ballot
from fairseq_ebm.human_eval.page import (
    RatedPrompt,
    compose,
    identical,
    page,
    shown,
    shuffled,
    suits,
)

PAIRS = [("joint", "base"), ("joint", "real")]
WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ab", "el", "ixo", "umi")]


def prompts(count, **more):
    words = random.Random(1)
    return [
        RatedPrompt(
            100 + i,
            " ".join(words.choices(WORDS, k=40)),
            {s: " " + " ".join(words.sample(WORDS, 12)) for s in ("joint", "base", "real")} | more,
        )
        for i in range(count)
    ]


CHECK = ("real", "base")


def test_the_order_of_the_page():
    given = prompts(60)
    found = compose(given, PAIRS, 48, 1, CHECK)
    checks = [each.item.answer is not None for each in found]
    assert [sum(checks[i : i + 4]) for i in range(0, 48, 4)] == [1] * 12
    assert len({checks[i : i + 4].index(True) for i in range(0, 48, 4)}) > 1
    assert [each.item.item for each in found] == list(range(1, 49))
    assert len({each.item.prompt for each in found}) == 48
    asked = Counter(frozenset((e.item.a, e.item.b)) for e in found if e.item.answer is None)
    assert asked == {frozenset(pair): 18 for pair in PAIRS}
    assert len({each.item.a for each in found[:20] if each.item.answer is None}) == 3
    assert {each.item.answer for each in found} == {None, "a", "b"}
    with pytest.raises(UserError, match="--num-items: 50 is no multiple of 4"):
        compose(given, PAIRS, 50, 1, CHECK)


@pytest.mark.parametrize("check", [CHECK, ("real", "shuffled")])
def test_what_stands_behind_the_texts(check):
    given = {prompt.number: prompt for prompt in prompts(60)}
    for each in compose(list(given.values()), PAIRS, 48, 2, check):
        item, prompt = each.item, given[each.item.prompt]
        assert each.context == prompt.context
        texts = {item.a: each.a, item.b: each.b}
        if item.answer is not None:
            real, other = (each.a, each.b) if item.answer == "a" else (each.b, each.a)
            assert real == prompt.texts["real"] and other == texts[check[1]] != real
            assert sorted(other.split()) == sorted(real.split()) or check == CHECK
        else:
            assert texts == {name: prompt.texts[name] for name in texts}


def test_comparisons_need_a_prompt_each_and_checks_none():
    """The paper's 333 comparisons of 333 prompts; but what a check gives away is asked nowhere."""
    found = compose(prompts(333), PAIRS[:1], 444, 1, CHECK)
    compared, checked = (
        [e.item.prompt for e in found if (e.item.answer is None) == compares]
        for compares in (True, False)
    )
    assert len(set(compared)) == len(compared) == 333
    assert len(set(checked)) == len(checked) == 111
    for i in range(0, 444, 4):
        assert len({each.item.prompt for each in found[i : i + 4]}) == 4
    with pytest.raises(UserError, match="--num-items: no prompt is left for real,base"):
        compose(prompts(333), PAIRS[1:], 444, 1, CHECK)


def test_a_qualification_page():
    found = compose(prompts(10), [("real", "base"), ("joint", "real")], 10, 1, None)
    assert len({each.item.prompt for each in found}) == 10
    for each in found:
        assert {"a": each.item.a, "b": each.item.b}[each.item.answer] == "real"
    asked = Counter(frozenset((each.item.a, each.item.b)) for each in found)
    assert set(asked.values()) == {5}


def test_the_seed_decides():
    given = prompts(60)
    one, same, other = (shown(compose(given, PAIRS, 48, seed, CHECK), 15) for seed in (1, 1, 2))
    assert one == same and one[0] != other[0]


def test_prompts_that_cannot_be_asked_about():
    given = prompts(8, joint="so it  is", base=" so it is")
    assert identical(given, PAIRS) == [
        {"pair": ["joint", "base"], "prompts": 8, "identical": 8},
        {"pair": ["joint", "real"], "prompts": 8, "identical": 0},
    ]
    with pytest.raises(UserError, match=r"--num-items: no prompt is left for joint,base"):
        compose(given, PAIRS[:1], 8, 1, CHECK)
    assert len(compose(given, PAIRS[1:], 8, 1, CHECK)) == 8
    with pytest.raises(UserError, match="no prompt is left for joint,real"):
        compose(given, PAIRS[1:], 12, 1, CHECK)
    with pytest.raises(UserError, match="for a check: real text of 8 different words"):
        compose(prompts(9, real="a b a b"), PAIRS[:1], 8, 1, ("real", "shuffled"))


def test_shuffling_keeps_the_look():
    generator = np.random.default_rng(1)
    text = " one two\n\nthree  four five six seven eight\n"
    other = shuffled(text, generator)
    assert other != text and re.findall(r"\s+", other) == re.findall(r"\s+", text)
    unspaced = "他今天早上去了学校。"
    assert sorted(shuffled(unspaced, generator)) == sorted(unspaced)
    for text, enough in (("a a a a a a a a b", False), (unspaced, True), ("0 2 4", False)):
        assert suits(RatedPrompt(1, "", {"real": text}), ("real", "shuffled")) == enough


CONTEXT = "one two three  four\n"


@pytest.mark.parametrize(("words", "last"), [(0, ""), (2, "three  four\n"), (9, CONTEXT)])
def test_bold_words(words, last):
    given = [RatedPrompt(p.number, CONTEXT, p.texts) for p in prompts(4)]
    _, items = shown(compose(given, PAIRS, 4, 1, CHECK), words)
    assert all(item["last"] == last for item in items)
    assert all(item["context"] + item["last"] == CONTEXT for item in items)


def test_the_page_gives_nothing_away_and_needs_nothing():
    given = [RatedPrompt(p.number, "</script><!-- $title & \ud83d", p.texts) for p in prompts(60)]
    name, items = shown(compose(given, PAIRS, 48, 1, CHECK), 15)
    text = page("A <title>", name, items)
    assert not re.search(r"joint|\bbase\b|\breal\b|shuffled|fake", text)
    assert not re.search(r"(?:src|href)=|@import|url\(|https?:", text)
    assert text.count("</script>") == 2 and text.count("A &lt;title&gt;") == 2
    data = re.search(r'id="data">(.*?)</script>', text, re.S)
    assert json.loads(data[1]) == {"page": name, "items": items}
    assert items[0]["last"] == "</script><!-- $title & \ud83d"


# From here on in Chromium.

SIZE = 8


class Rater:
    """Someone in front of the page."""

    def __init__(self, chromium, path):
        self.chromium, self.path = chromium, path
        chromium.get(path.as_uri())
        self.heading()

    def reload(self):
        self.chromium.refresh()
        self.heading()

    def close_and_open(self):
        first = self.chromium.current_window_handle
        self.chromium.switch_to.new_window("tab")
        other = self.chromium.current_window_handle
        self.chromium.switch_to.window(first)
        self.chromium.close()
        self.chromium.switch_to.window(other)
        self.chromium.get(self.path.as_uri())
        self.heading()

    def js(self, script, *arguments):
        return self.chromium.execute_script(script, *arguments)

    def find(self, css):
        return self.chromium.find_element("css selector", css)

    def click(self, css):
        self.find(css).click()

    def choose(self, choice):
        self.click(f"[data-choice={choice}]")

    def press(self, *keys):
        """To whatever has the focus."""
        for key in keys:
            self.chromium.switch_to.active_element.send_keys(key)

    def begin(self, name="Ann"):
        self.find("#rater").send_keys(name)
        self.click("#begin")

    def heading(self):
        """Of what is shown, once the page has read what was kept."""
        return self.find("section:not([hidden]) h2").text

    def chosen(self):
        return self.js(
            "return [...document.querySelectorAll('[aria-pressed=true]')].map("
            "(button) => button.dataset.choice)"
        )

    def votes(self):
        self.js("document.getElementById('finish').click()")
        given = json.loads(self.find("#json").get_property("value"))["votes"]
        return {vote["item"]: vote["choice"] for vote in given}


SEEDS = itertools.count()


@pytest.fixture
def made(tmp_path):
    """A page that the browser has kept no answers of."""
    comparisons = compose(prompts(20), PAIRS, SIZE, next(SEEDS), CHECK)
    name, items = shown(comparisons, 15)
    path = tmp_path / "page #1.html"
    path.write_text(page("Which goes on better?", name, items), encoding="utf-8")
    return path, Key(name, PAIRS, [each.item for each in comparisons], {}), items


@pytest.fixture
def rater(chromium, made):
    return Rater(chromium, made[0])


def test_from_the_first_click_to_the_file(rater, made):
    _, key, items = made
    rater.click("#begin")
    assert rater.heading() == "Before you begin"  # there is no name yet
    rater.begin(" Ann Lee ")
    for i, item in enumerate(items):
        assert rater.heading() == f"Comparison {i + 1} of {SIZE}"
        assert rater.find("#context").get_property("textContent") == item["context"] + item["last"]
        assert rater.find("#context strong").get_property("textContent") == item["last"]
        assert [rater.find(f"#{side}").text for side in "ab"] == [
            f"…{item['a']}", f"…{item['b']}"
        ]  # fmt: skip
        rater.choose(("a", "b", "tie")[i % 3])
    assert rater.heading() == "All done, thank you"
    assert rater.find("#left").text == f"Ann Lee: {SIZE} of {SIZE} answered."
    rater.click("#download")
    file = rater.chromium.folder / f"votes-Ann_Lee-{key.page}.json"
    until = time.monotonic() + 5
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert file.read_text(encoding="utf-8") == rater.find("#json").get_property("value")
    ballot = read_ballot(file, key)
    assert ballot.rater == "Ann Lee"
    assert ballot.choices == {i + 1: ("a", "b", "tie")[i % 3] for i in range(SIZE)}


def test_going_back_and_a_reload(rater):
    rater.begin()
    rater.choose("a")
    rater.choose("b")
    rater.reload()
    assert rater.heading() == f"Comparison 3 of {SIZE}" and rater.chosen() == []
    rater.click("#back")
    assert rater.chosen() == ["b"]
    rater.choose("tie")
    assert rater.find("#said").text == f"Comparison 2: About equal. 2 of {SIZE} answered."
    rater.click("#next")
    rater.choose("a")
    rater.click("#finish")
    assert rater.heading() == "Not all comparisons are answered"
    rater.click("#open")
    assert rater.heading() == f"Comparison 3 of {SIZE}"
    for _ in range(3):
        rater.click("#back")
    assert rater.heading() == "Before you begin" and rater.find("#begin").text == "Go on"
    assert rater.find("#rater").get_property("value") == "Ann"
    rater.click("#begin")
    assert rater.heading() == f"Comparison 3 of {SIZE}"
    assert rater.votes() == {1: "a", 2: "tie", 4: "a"}


def test_no_reload_loses_a_vote(rater):
    """Of several in a row: Chromium gave one in two or three an old copy of localStorage."""
    rater.begin()
    for at in range(1, SIZE):
        rater.choose("a")
        rater.reload()
        assert rater.heading() == f"Comparison {at + 1} of {SIZE}"
    rater.close_and_open()
    assert rater.votes() == {at: "a" for at in range(1, SIZE)}


def test_keys(rater):
    rater.press("\ue004")  # tab
    assert rater.js("return document.activeElement.id") == "rater"
    rater.press("1", "2", "\ue007")  # letters of a name are no votes; enter
    assert rater.heading() == f"Comparison 1 of {SIZE}"
    rater.press("2", "1", "\ue014", "3")  # arrow right: the third is passed over
    assert rater.heading() == f"Comparison 5 of {SIZE}"
    rater.press("\ue012", "\ue012", "\ue012")  # arrow left
    assert rater.heading() == f"Comparison 2 of {SIZE}" and rater.chosen() == ["a"]
    assert rater.js("return document.activeElement.id") == "place"
    rater.press("\ue004", "\ue004", "\ue00d")  # tab to B; space
    assert rater.heading() == f"Comparison 3 of {SIZE}"
    held = {"type": "rawKeyDown", "key": "1", "autoRepeat": True}
    rater.chromium.execute_cdp_cmd("Input.dispatchKeyEvent", held)
    assert rater.heading() == f"Comparison 3 of {SIZE}"
    rater.click("#keys")
    rater.press("1", "\ue014")
    assert rater.heading() == f"Comparison 3 of {SIZE}"
    assert rater.votes() == {1: "b", 2: "b", 4: "tie"}


def test_a_double_click_is_one_vote(rater):
    from selenium.webdriver import ActionChains  # noqa: PLC0415 (may not be there)

    rater.begin()
    ActionChains(rater.chromium).double_click(rater.find("[data-choice=a]")).perform()
    assert rater.heading() == f"Comparison 2 of {SIZE}"
    assert rater.votes() == {1: "a"}


def test_another_rater(rater):
    rater.begin()
    rater.choose("a")
    rater.click("#finish")
    rater.click("#clear")
    rater.chromium.switch_to.alert.dismiss()
    assert rater.votes() == {1: "a"}
    rater.click("#clear")
    rater.chromium.switch_to.alert.accept()
    assert rater.heading() == "Before you begin" and rater.find("#rater").text == ""
    rater.reload()
    rater.begin("Bob")
    assert rater.votes() == {}


def test_for_a_screen_reader(rater):
    rater.begin()
    rater.choose("a")
    rater.click("#back")
    nodes = rater.chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    said = [(n["role"]["value"], n.get("name", {}).get("value", ""), n) for n in nodes
            if not n["ignored"]]  # fmt: skip
    found = {(role, name) for role, name, _ in said}
    assert found >= {
        ("heading", f"Comparison 1 of {SIZE}"),
        ("progressbar", "Comparisons answered"),
        ("group", "A"),
        ("group", "B"),
        ("group", "Which goes on better?"),
        ("button", "B is better"),
        ("button", "About equal"),
        ("button", "Back"),
    }
    pressed = {
        name: prop["value"]["value"]
        for role, name, node in said
        if "button" in role.lower()
        for prop in node["properties"]
        if prop["name"] == "pressed"
    }
    assert sorted(pressed.values()) == ["false", "false", "true"]
    (status,) = [node for role, _, node in said if role == "status"]
    live = {p["name"]: p["value"]["value"] for p in status["properties"]}
    assert live["live"] == "polite"
    assert rater.js("return document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_screens_and_both_schemes(rater, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": 390, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    rater.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    rater.chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    rater.begin()
    for _ in ("a comparison", "the end"):
        assert rater.js("return document.documentElement.scrollWidth") == 390
        colours = rater.js(
            "const { color, backgroundColor } = getComputedStyle(document.body);"
            "return [color, backgroundColor]"
        )
        text, behind = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
        assert abs(text - behind) > 500 and (text > behind) == (scheme == "dark")
        rater.js("document.getElementById('finish').click()")
    rater.chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(
    "script",
    [
        "IDBObjectStore.prototype.put = () => { throw new Error('full') }",
        "IDBObjectStore.prototype.put = function () { this.transaction.abort() }",
        "Object.defineProperty(window, 'indexedDB', { value: undefined })",
    ],
)
def test_a_browser_that_keeps_nothing(rater, script):
    assert not rater.find("#kept").is_displayed()
    add, remove = (f"Page.{verb}ScriptToEvaluateOnNewDocument" for verb in ("add", "remove"))
    added = rater.chromium.execute_cdp_cmd(add, {"source": script})
    rater.reload()
    rater.chromium.execute_cdp_cmd(remove, added)
    rater.begin()
    rater.choose("b")
    assert rater.find("#kept:not([hidden])").is_displayed()
    assert rater.votes() == {1: "b"}


def test_nothing_went_wrong_unseen(chromium):
    assert chromium.get_log("browser") == []
