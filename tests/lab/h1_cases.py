"""The tables of the HTTP/1.1 codec's unit test, for tests of the whole gateway: one list of cases, read by the C compiler
there and by its preprocessor here."""

import pathlib
import re
import subprocess
from collections import namedtuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKER = re.compile(r'# (\d+) "([^"]*)"')
CALL = re.compile(r"([A-Z0-9_]+)\((.*)\)\s*$")
LITERAL = re.compile(r'\s*"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)")
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t"}

# 'where' is file:line; 'kind' is REFUSED, PASSED, AFTER or WAITS; 'passed' is what is passed on.
Case = namedtuple("Case", "where kind method rule sent passed")
Rule = namedtuple("Rule", "name status details")


def _unescape(literal):
    def one(match):
        what = match.group(1)
        return bytes([int(what, 8)]) if what[0:1].isdigit() else PLAIN.get(what, what)

    return ESCAPE.sub(one, literal.encode())


def _arguments(text):
    """Of a call whose arguments are words, numbers and runs of string literals."""
    found = []
    while text:
        out, literals = b"", 0
        while match := LITERAL.match(text):
            out += _unescape(match.group(1))
            literals += 1
            text = text[match.end() :]
        word, comma, text = text.partition(",")
        assert not (literals and word.strip()), f"{out!r} {word!r}"
        found.append(out if literals else word.strip())
        if not comma:
            break
    return found


def _calls(path):
    """(line, name, arguments) of each row of a .def file."""
    text = subprocess.run(
        ["cpp", "-undef", ROOT / path], check=True, text=True, errors="surrogateescape", stdout=subprocess.PIPE
    ).stdout
    number = 0
    for line in text.split("\n"):
        if match := MARKER.match(line):
            number = int(match.group(1)) - 1
            continue
        number += 1
        if match := CALL.match(line):
            yield number, match.group(1), _arguments(match.group(2))


def requests():
    path = "tests/unit/h1_request_cases.def"
    cases = []
    for line, kind, arguments in _calls(path):
        rule = arguments.pop(0) if kind in ("REFUSED", "AFTER") else None
        sent, passed = (arguments + [b""])[:2]
        cases.append(Case(f"{path}:{line}", kind, b"", rule, sent, passed))
    return cases


def responses():
    path = "tests/unit/h1_response_cases.def"
    cases = []
    for line, kind, arguments in _calls(path):
        method = arguments.pop(0)
        rule = arguments.pop(0) if kind in ("REFUSED", "AFTER") else None
        sent, passed = (arguments + [b""])[:2]
        cases.append(Case(f"{path}:{line}", kind, method, rule, sent, passed))
    return cases


def rules():
    found = {}
    for _, _, arguments in _calls("router/h1_error.def"):
        found[arguments[0]] = Rule(arguments[1].decode(), int(arguments[2]), arguments[3].decode())
    return found
