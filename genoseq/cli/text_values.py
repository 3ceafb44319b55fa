"""Settings that are text reach us as the text that was typed.

Hydra's grammar reads `out=/data/run=3/m`, `~/x`, `a(b).fa` as mistakes, `a,b.fa` as a sweep, `prompt=NAN` as
a number and `chromosomes=[1,2,X]` as two numbers and a string. For the settings named here the value is
quoted before Hydra sees it. Everything else keeps Hydra's grammar.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

# Settings that hold text, as patterns over the dotted key.
TEXT_SETTINGS = (
    "out",
    "input",
    "vcf",
    "annotation",
    "*.annotation",
    "plot",
    "plots",
    "target",
    "bed",
    "*.bed",
    "fasta",
    "*.fasta",
    "checkpoint",
    "*.checkpoint",
    "a",
    "b",
    "repository",
    "message",
    "prompt",
    "control",
    "starts",
    "index",
    "reference",
    "table",
    "page",
    "judge",
    "generator",
    "target",
    "judge_target",
    "constraints.forbidden",
    "constraints.enzymes",
    "constraints.protein",
    "name",
    "run_dir",
    "resume",
    "*_column",
    "data.train",
    "data.validation",
    "data.test",
    "suite.folder",
    "suite.genomes.*",
    "suite.tasks",
    "data.labelled.train",
    "data.labelled.validation",
    "data.labelled.test",
    "data.split.train",
    "data.split.validation",
    "data.split.test",
    "chromosomes",
    "*.chromosomes",
    "classes",
    "*.classes",
)
_OVERRIDE = re.compile(r"(?P<key>\+{0,2}[^\s=~+'\"\[{(]+)=(?P<value>.*)", re.DOTALL)
_SWEEP_FUNCTION = re.compile(r"(choice|range|glob|sort|shuffle)\(.*\)", re.DOTALL)
# What a block of a genome is given by, where another split has intervals or names.
_FRACTION = re.compile(r"0?\.\d+|[01](\.0*)?")
_QUOTES = ("'", '"')


def protect_text(argument: str, *, multirun: bool = False) -> str:
    """`key=value` with the value quoted where the key holds text, or where it is plainly a path.

    Lists (`[1,2,X]`) become lists of texts, mappings (`{T1: left}`) mappings to texts, `null` stays the
    absence of a value, and what is quoted already is left as it is. With `multirun` a comma outside brackets
    separates the values of a sweep; quote a value that holds one.
    """
    match = _OVERRIDE.fullmatch(argument)
    if match is None:
        return argument
    key, value = match["key"], match["value"]
    if not _is_text(key.lstrip("+"), value):
        return argument
    if not multirun:
        return f"{key}={_protect_value(value)}"
    if _SWEEP_FUNCTION.fullmatch(value):
        return argument
    return f"{key}=" + ",".join(_protect_value(part) for part in _split(value))


def quote(text: str) -> str:
    """Hydra's quoted form of a text, whatever is in it."""
    # A backslash is itself except before a quote and at the end.
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + r"\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{escaped[len(escaped) - trailing :]}'"


def _is_text(key: str, value: str) -> bool:
    if key.startswith("hydra.") or (key.startswith("data.split.") and _FRACTION.fullmatch(value)):
        return False
    if any(fnmatchcase(key, pattern) for pattern in TEXT_SETTINGS):
        return True
    return value.startswith(("/", "./", "../", "~"))


def _protect_value(value: str) -> str:
    if value == "null" or _is_quoted(value):
        return value
    if value.startswith("[") and value.endswith("]"):
        parts = _split(value[1:-1]) if value != "[]" else []
        return "[" + ",".join(_protect_value(part.strip()) for part in parts) + "]"
    if value.startswith("{") and value.endswith("}") and ":" in value:
        pairs = [part.partition(":") for part in _split(value[1:-1])]
        return (
            "{" + ",".join(f"{key.strip()}: {_protect_value(text.strip())}" for key, _, text in pairs) + "}"
        )
    return quote(value)


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, quoted = [""], 0, ""
    for letter in text:
        if letter in _QUOTES and quoted in ("", letter):
            quoted = "" if quoted else letter
        elif not quoted:
            depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
