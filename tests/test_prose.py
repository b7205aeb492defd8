"""How the book, the README, and the docstrings and messages of the library are worded.

A rule finds a word or a turn of phrase that was a recurring fault. No rule can say that a
sentence is good.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]
MODULES = sorted((ROOT / "stylelib").rglob("*.py"))


class Rule(NamedTuple):
    """What is not written, a sentence that has it, and one like it that has not."""

    pattern: str
    bad: str
    good: str


BRITISH = (
    r"colour|grey|neighbour|behaviour|favour|centre\b|centred|metre\b|catalogue|defence\b|licence"
    r"|artefact|analys(e|ed|es|ing)\b|learnt|spoilt|whilst|amongst|judgement|programme\b"
    r"|(towards|afterwards|backwards|forwards|upwards|outwards)\b"
    r"|(label|travel|model|cancel|signal)l(ed|ing)\b"
    r"|(normal|optim|visual|recogn|minim|maxim|organ|regular|initial|general|summar|penal|vector"
    r"|real|emphas|synthes|random|equal|serial|stabil|memor|character)is(e|ed|es|ing|ation)\b"
)
VERBS = r"(can|could|would|has|had|may|might|must|should|wants?|needs|sees|gets|knows|does)"
RULES = {
    # who acts
    "one as a person": Rule(
        rf"(^|\b(if|as|what|else|how|so|and|but|when|because|than) |[;:.,] )[Oo]ne {VERBS}\b"
        r"|\b([Dd]oes|[Cc]an|[Ss]hould|[Ww]ould) one (want|need|see|know|take|do|say|choose|use)\b"
        r"|\b[Oo]ne's own\b",
        "So which does one want, and what else one could match?",
        "The first one has a seed, and only one can win. Which one would it be?",
    ),
    "whoever, nobody, somebody": Rule(
        r"\b(who(so)?ever|(no|some)body|for who)\b",
        "Whoever differentiates this is right.",
        "If you differentiate this, you are right.",
    ),
    "a machine with feelings": Rule(
        r"\b(do|does|did) not (mind|care)\b|\b(deaf|whispers?|promises?)\b|\bsays so\b"
        r"|\b(knows?|learns?) of\b|(%|\bis|\bare|\bwas) sure\b|\bsurer\b",
        "The layer does not mind, and the network is sure.",
        "You can make sure of it.",
    ),
    # how a sentence is built
    "a sentence in parentheses": Rule(
        r"(^|[.?!:] )\([A-Z][^()]*[.?!]\)",
        "Steps are short. (Flat drawings resist longer.)",
        "Steps are short (at least here). (a) is first.",
    ),
    "a step for per step": Rule(
        r"\b(bits?|bytes?|[kMG]B|seconds?|times|evaluations?|passes|mean|units)"
        r" an? (step|channel|number|value|image|word|column|layer|pixel|row|weight)\b",
        "That is 8 bits a channel.",
        "That is 8 bits per channel, and a mean of a channel.",
    ),
    "the sentence turned around": Rule(
        r"\bShown (is|are)\b|(^|[.:] )What ([\w*]+ ){1,3}(is|are) (an?|the|not|its|our)\b[^?]*$",
        "It works. What interests us is not its answer.",
        "What is the minimum? What fits into it survives.",
    ),
    "a pronoun that points nowhere": Rule(
        r"\bof (these|such)[.,;]",
        "The image is made of such.",
        "The image consists of such detail.",
    ),
    "where for if": Rule(
        r"(^|[.:;] )Where (an?|no|you|there)\b[^.,:?]*,|\bwhere (needed|possible|the hardware)\b",
        "Where a size is odd, a row is left over.",
        "Where they are equal, both are right. Where is a stroke, then?",
    ),
    "a command for a condition": Rule(
        r"(^|[.:] )(Turn|Swap|Double|Flip|Raise|Lower|Multiply)\b[^.:;?]*(,| and) "
        r"(and )?(the|it|they|nothing|images?) (is|are|fails|becomes?|grows?|changes?)\b",
        "Swap them and nothing fails.",
        "If you swap them, nothing fails.",
    ),
    # words
    "translated idioms": Rule(
        r"\ball the same\b|\b(turn|turned|way|other way) round\b|\bon top\b|\bway back\b|\banew\b"
        r"|\bfor ever\b|\bmend(s|ed|ing)?\b|\bslips?\b|\bstands? before\b|\bby itself the\b",
        "It appears all the same, and we begin anew.",
        "It still appears at the top, and we begin again.",
    ),
    "gradient at": Rule(
        r"\bgradients? at (the |its )?(pixels|bias|weights?|features|input|image)\b",
        "The gradient at the pixels is small.",
        "The gradient with respect to the pixels at a point is small.",
    ),
    "vague amounts": Rule(
        r"\bsome (\d|hundreds?\b|thousands?\b|twenty\b|more\b)|\bor so\b",
        "That is some 17 gray levels.",
        "That is about 17 gray levels, with some noise.",
    ),
    "telegraphic": Rule(
        r"\bso often\b|\blikewise\b|\b(is|are) to be\b|\bas many \w+ as there are not\b",
        "The second is likewise to be an image.",
        "The second must also be an image.",
    ),
    "picture for image": Rule(
        r"\bpictur(e|es|ed)\b", "Three pictures of a cat.", "Three images of a cat."
    ),
    "place for position": Rule(
        r"(?<!\b[Ii]n )(?<!\bin-)(?<!\bin one )(?<!\btake )(?<!\btakes )(?<!\bdecimal )\bplaces?\b",
        "Each place takes its colors from the painting.",
        "Each position stays in place.",
    ),
    "and others for et al.": Rule(
        r"\b[A-Z]\w+ and others\b", "Gatys and others compare.", "Gatys et al. compare others."
    ),
    "a space before %": Rule(r"\d %", "It is 99 % white.", "It is 99% white."),
    "other words for our terms": Rule(
        r"\bembedded network\b|\bpush(es|ed|ing)?\b|\bbackward sweep\b"
        r"|\b(light|dark|white|black|gray|flat) ground\b",
        "The embedded network has the largest push, on a light ground.",
        "The embedded weights lie on the ground.",
    ),
    "epoch for step": Rule(r"\bepochs?\b", "After 500 epochs.", "After 500 steps."),
    "British spelling": Rule(
        rf"\b\w*({BRITISH})",
        "The optimiser visualises a grey neighbour, afterwards the centre.",
        "The optimizer visualizes a gray neighbor, afterward the center of the synthesis.",
    ),
}
FOUND = {name: re.compile(rule.pattern) for name, rule in RULES.items()}
FOUND["British spelling"] = re.compile(RULES["British spelling"].pattern, re.IGNORECASE)
FOUND["picture for image"] = re.compile(RULES["picture for image"].pattern, re.IGNORECASE)
FOUND["whoever, nobody, somebody"] = re.compile(
    RULES["whoever, nobody, somebody"].pattern, re.IGNORECASE
)

# Where a rule does not hold: (file, rule) to the words, and why
EXCEPTIONS = {
    ("01-first-picture.md", "picture for image"): ("A first picture", "the chapter's title"),
    ("07-synthesized-image.md", "epoch for step"): (
        "calls a step an epoch|which the axis calls epochs",
        "where the word of the d2l code is explained",
    ),
    ("glossary.md", "epoch for step"): ("^epoch ", "its entry"),
    ("index.md", "picture for image"): ("A first picture", "the chapter's title"),
    ("stylelib/beyond/statistics.py", "place for position"): (
        "places or seed",
        "an argument's name",
    ),
    ("stylelib/synthesis.py", "epoch for step"): (
        "d2l code calls them epochs",
        "where the word of the d2l code is explained",
    ),
}


# --- What is prose


def plain(text: str) -> str:
    """Markdown without what is not read as English: code, formulas, targets, keys of citations."""
    text = re.sub(r"``.*?``|(?<= )\.[a-z]\w+", "N", text)
    text = re.sub(r"\{(cite|numref|time|ref|doc)(:\w+)?\}`[^`]*`", "N", text)
    text = re.sub(r"\{\w+(?::\w+)?\}`([^`<]*?)(?: <[^`]*)?`", r"\1", text)
    text = re.sub(r"`[^`]*`", "N", text)
    text = re.sub(r"\$[^$]+\$", "N", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    text = re.sub(r"<[^>\s][^>]*>|https?://\S+", "N", text)
    return text.replace("**", "").replace("*", "")


def paragraphs(markdown: str) -> list[tuple[int, str]]:
    """The paragraphs of a page, captions and alternative texts, each with its line."""
    found: list[tuple[int, list[str]]] = []
    fence = kind = ""
    fresh = True
    in_front = in_math = False
    for number, line in enumerate(markdown.splitlines(), start=1):
        words = line.strip()
        opened = re.match(r"(`{3,})(?:\{([\w-]+)\})?(.*)", words)
        if number == 1 and words == "---":
            in_front = True
        elif in_front:
            in_front = words != "---"
        elif fence:
            alt = re.match(r':?(?:alt|caption): *"?(.*)', words)
            if words == fence:
                fence, fresh = "", True
            elif alt:
                found.append((number, [alt[1].rstrip('"')]))
                fresh = False
            elif kind in ("figure", "glossary", "note") and not words.startswith(":"):
                if fresh or not words:
                    found.append((number, []))
                found[-1][1].append(words)
                fresh = not words
            elif kind == "code-cell" and not fresh and line.startswith("      "):
                found[-1][1].append(words.rstrip('"'))  # an alternative text goes on
            else:
                fresh = True
        elif words.startswith("$$"):
            in_math = not in_math if words.count("$$") == 1 else in_math
            fresh = False
        elif in_math:
            continue
        elif opened:
            fence, kind, fresh = opened[1], opened[2] or "", True
        elif not words or re.match(r":{1,2}\w|:{3,}|\(.*\)=$|#+ ", words):
            if words.startswith("#"):
                found.append((number, [words.lstrip("# ")]))
            fresh = True
        else:
            if fresh or re.match(r"([-*]|\d+\.|\|) ", words) or not found:
                found.append((number, []))
            found[-1][1].append(re.sub(r"^([-*]|\d+\.) ", "", words))
            fresh = False
    return [(number, plain(" ".join(lines))) for number, lines in found if any(lines)]


def docstrings_and_messages(source: str) -> list[tuple[int, str]]:
    """What a module says to people: its docstrings, and the texts of its errors."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                found.append((node.lineno, node.value.value))
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found += [(node.lineno, message(argument)) for argument in node.exc.args]
    texts = []
    for number, text in found:
        kept = re.sub(r"(?m)^ *(>>>|\.\.\.) .*(\n(?! *>>>| *\n).+)*", "", text)
        kept = re.sub(r"::\n\n(?:(?: {4,}.*)?\n)+", "\n\n", kept)
        parts = re.split(r"\n\s*\n|\n(?= *[\w, *]+: )", kept)
        named = [re.sub(r"^\s*[\w, *]+: ", "N: ", part) for part in parts]  # an argument
        texts += [(number, plain(" ".join(part.split()))) for part in named]
    return texts


def message(node: ast.expr) -> str:
    """The text of an error, with N for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(message(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return message(node.left) + message(node.right)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "N"


def faults(name: str, texts: list[tuple[int, str]]) -> list[str]:
    """What the rules find, apart from the exceptions."""
    found = []
    for number, text in texts:
        for rule, pattern in FOUND.items():
            allowed, _ = EXCEPTIONS.get((name, rule), ("", ""))
            for match in pattern.finditer(text):
                around = text[max(0, match.start() - 30) : match.end() + 30]
                if not (allowed and re.search(allowed, around)):
                    found.append(f"{name}:{number}: {rule}: ...{around}...")
    return found


# --- The tests


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_the_bad_sentence_and_not_the_good_one(rule):
    assert FOUND[rule].search(RULES[rule].bad)
    assert not FOUND[rule].search(RULES[rule].good)


def test_prose_is_told_from_what_is_not():
    page = """---
title: anew
---
# For ever

```{code-cell} ipython3
---
mystnb:
  image:
    alt: "A grey cat
      anew."
---
x = "anew"  # a picture
```

Text with `anew`, $anew$ and {cite:p}`anew`,
a {term}`mend <anew>`, and [a slip](anew.md).

$$
anew
$$

:::{exercise}
:label: anew
Push.
:::

```{figure} anew.svg
:name: anew
:alt: A colour.

The caption, by Gatys and others.
```
"""
    assert [text for _, text in paragraphs(page)] == [
        "For ever",
        "A grey cat anew.",
        "Text with N, N and N, a mend, and a slip.",
        "Push.",
        "A colour.",
        "The caption, by Gatys and others.",
    ]
    source = (
        '"""A picture."""\nA = 1\n"""Anew."""\n\ndef f(x):\n    """Short.\n\n    >>> mend(1)\n'
        '    1\n    """\n    grey = "anew"\n    raise ValueError(f"x is {x}, " "a colour")\n'
    )
    assert [text for _, text in docstrings_and_messages(source) if text] == [
        "A picture.",
        "Anew.",
        "Short.",
        "x is N, a colour",
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_keeps_the_rules(path):
    assert faults(path.name, paragraphs(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(ROOT / "stylelib").as_posix()
)
def test_docstrings_and_messages_keep_the_rules(path):
    name = path.relative_to(ROOT).as_posix()
    assert faults(name, docstrings_and_messages(path.read_text("utf-8"))) == []


def test_each_exception_is_needed():
    texts = {path.name: paragraphs(path.read_text("utf-8")) for path in PAGES}
    for path in MODULES:
        texts[path.relative_to(ROOT).as_posix()] = docstrings_and_messages(
            path.read_text("utf-8")
        )
    for (name, rule), (allowed, reason) in EXCEPTIONS.items():
        hits = [text for _, text in texts[name] if FOUND[rule].search(text)]
        assert any(re.search(allowed, text) for text in hits), (name, rule)
        assert reason
