"""Advice on a script's error whose cause is Python 3, a newer library or another Caffe.

Scripts of Caffe's time are written for Python 2 and for the libraries of those years.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from pathlib import Path

from tinynet.torchcaffe import library_advice, other_caffes

# files that are not the script's own: this package, Python's modules and installed packages
_INSTALLED = (
    f"{Path(__file__).parents[1]}/",
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")),
)
_PYTHON = f"Python {sys.version_info[0]}.{sys.version_info[1]}"

# lines of Python 2 that Python 3 refuses
_SYNTAX = (
    (r"^\s*print\b(?!\s*[(=.,)\]])", "a print statement"),
    (r"^\s*exec\s+(?!=)\S", "an exec statement"),
    (r"^\s*except\s+[^:]+,\s*\w+\s*:", "except CLASS, NAME"),
    (r"^\s*raise\s+[\w.]+\s*,", "raise CLASS, VALUE"),
    (r"`[^`]+`", "`backquotes`"),
    (r"<>", "the operator <>"),
    (r"\b\d+[lL]\b|\b0[xX][0-9a-fA-F]+[lL]\b", "a long number as 10L"),
    (r"(?<![\w.])0\d+\b", "an octal number as 0644"),
    (r"\b[uU][rR]['\"]", "a ur'' string"),
    (r"^\s*def\s+\w+\s*\(.*\([^)]*\).*\)\s*:|\blambda\s*[^:]*\(", "a tuple as parameter"),
)
_SYNTAX_MESSAGES = (
    ("Missing parentheses in call to 'print'", "a print statement"),
    ("Missing parentheses in call to 'exec'", "an exec statement"),
    ("inconsistent use of tabs", "tabs and spaces in one block"),
    ("leading zeros in decimal integer", "an octal number as 0644"),
    ("multiple exception types must be parenthesized", "except CLASS, NAME"),
)
_BUILTINS = {
    "xrange": "range",
    "unicode": "str",
    "basestring": "str",
    "long": "int",
    "raw_input": "input",
    "unichr": "chr",
    "reduce": "functools.reduce",
    "reload": "importlib.reload",
    "cmp": "(a > b) - (a < b)",
    "execfile": "exec(open(NAME).read())",
    "file": "open",
    "apply": "FUNCTION(*ARGUMENTS)",
    "intern": "sys.intern",
}
_MODULES = {
    "cPickle": "pickle",
    "StringIO": "io",
    "cStringIO": "io",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
    "ConfigParser": "configparser",
    "Queue": "queue",
    "Tkinter": "tkinter",
    "commands": "subprocess",
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "SocketServer": "socketserver",
    "BaseHTTPServer": "http.server",
    "HTMLParser": "html.parser",
    "httplib": "http.client",
    "cookielib": "http.cookiejar",
    "xmlrpclib": "xmlrpc.client",
    "exceptions": "builtins",
    "sets": "set",
}
_METHODS = {
    "iteritems": "items()",
    "iterkeys": "keys()",
    "itervalues": "values()",
    "viewitems": "items()",
    "viewkeys": "keys()",
    "viewvalues": "values()",
    "has_key": "KEY in MAPPING",
    "next": "next(ITERATOR)",
    "izip": "zip",
    "imap": "map",
    "ifilter": "filter",
    "izip_longest": "itertools.zip_longest",
    "maxint": "sys.maxsize",
    "urlopen": "urllib.request.urlopen",
    "urlretrieve": "urllib.request.urlretrieve",
    "letters": "string.ascii_letters",
    "maketrans": "str.maketrans",
    "join": "SEPARATOR.join(LIST)",
    "split": "TEXT.split(SEPARATOR)",
    "replace": "TEXT.replace(OLD, NEW)",
    "getcwdu": "os.getcwd()",
}
_OF_STRING = ("join", "split", "replace")  # functions of the module string
_LAZY = re.compile(
    r"'(map|filter|zip|o?dict_(keys|values|items))' object is not subscriptable"
    r"|object of type '(map|filter|zip)' has no len\(\)"
    r"|unsupported operand type\(s\) for \+: '(o?dict_(keys|values|items)|range|map|zip)'"
    r"|'o?dict_(keys|values|items)' object has no attribute '(?:sort|index)'"
)
_FLOAT_FOR_INTEGER = re.compile(
    r"'float' object cannot be interpreted as an integer|slice indices must be integers"
)
_NUMPY_FLOAT_FOR_INTEGER = re.compile(
    r"'numpy\.float\d*' object cannot be interpreted as an integer"
)
_ITERATOR = re.compile(r"'[\w.]*(?:iterator|generator|map|zip|filter|enumerate|reader|Wrapper)'")


def converter() -> str:
    """The command that turns Python 2 into Python 3, as this Python has it."""
    if sys.version_info < (3, 13):  # which removed lib2to3
        return "python -m lib2to3 -w"
    return "pip install fissix; python -m fissix -w"


def on_syntax(error: SyntaxError) -> str | None:
    """Advise on a syntax error of Python 2's, in one line: place, reason and how to convert.

    Returns None for other errors.
    """
    what = next((kind for said, kind in _SYNTAX_MESSAGES if said in str(error.msg)), None)
    text = error.text or ""
    if what is None:
        what = next((kind for pattern, kind in _SYNTAX if re.search(pattern, text)), None)
    if what is None:
        return None
    shown = text.strip()[:60]
    return (
        f"{error.filename}, line {error.lineno}: {shown}: this is Python 2 ({what}), and here runs "
        f"{_PYTHON}; convert the file: {converter()} {error.filename}"
    )


def on_exception(error: Exception) -> str | None:
    """Advise, in one line, on an error that Python 3, a newer library or another Caffe causes.

    Returns None for other errors.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "<frozen" not in f.filename]
    if isinstance(error, SyntaxError) or not frames:
        return on_syntax(error) if isinstance(error, SyntaxError) else None
    # often a library's own frame raises it; the line to change is the script's
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)]
    advice = library_advice.on_exception(error) or other_caffes.on_exception(error)
    if advice is not None:
        return f"{_place(own or frames)}: {advice}"
    instead = _of_python_2(error)
    if instead is None:
        return None
    convert = f"; or convert the file: {converter()} {own[-1].filename}" if own else ""
    return (
        f"{_place(own or frames)}: looks like Python 2, and here runs {_PYTHON}: {instead}{convert}"
    )


def _place(frames: list[traceback.FrameSummary]) -> str:
    return f"{frames[-1].filename}, line {frames[-1].lineno}"


def _of_python_2(error: Exception) -> str | None:
    """What to write instead, if a name or an idiom of Python 2 caused the error."""
    said = str(error)
    if isinstance(error, NameError):
        name = re.match(r"name '(\w+)' is not defined", said)
        if name and name[1] in _BUILTINS:
            return f"write {_BUILTINS[name[1]]} for {name[1]}"
    if isinstance(error, ImportError):
        name = re.match(r"No module named '(\w+)'", said)
        if name and name[1] in _MODULES:
            return f"the module {name[1]} is {_MODULES[name[1]]}"
        name = re.match(r"cannot import name '(\w+)' from '(?:itertools|urllib|string)'", said)
        if name and name[1] in _METHODS:
            return f"write {_METHODS[name[1]]} for {name[1]}"
    if isinstance(error, AttributeError):
        name = re.search(r"has no attribute '(\w+)'", said)
        if name and name[1] == "next" and not _ITERATOR.search(said):
            return None
        if name and name[1] in _OF_STRING and not said.startswith("module 'string'"):
            return None
        if name and name[1] in _METHODS:
            return f"write {_METHODS[name[1]]} for {name[1]}"
    if isinstance(error, TypeError):
        if _LAZY.search(said):
            return "map, filter, zip and a dict's keys() are no lists: write list(…) around them"
        if "for >>: 'builtin_function_or_method'" in said:
            return "write print(…, file=FILE) for print >>FILE"
        if _FLOAT_FOR_INTEGER.search(said):
            return "a / b of two integers is a float: write a // b"
        if _NUMPY_FLOAT_FOR_INTEGER.search(said):
            return "a float where an integer is wanted: write int(…)"
        if "a bytes-like object is required, not 'str'" in said:
            return (
                "a file opened with 'wb', like a BytesIO, takes bytes: open it with 'w', or write "
                "TEXT.encode()"
            )
        if re.search(r"[Ww]on't implicitly convert Unicode to bytes", said):
            return "an LMDB's keys and values are bytes: write KEY.encode()"
        if re.search(r"expected bytes, str found", said):
            return "a message's bytes are no text: open(FILE, 'rb').read(), or ARRAY.tobytes()"
        if "write() argument must be str, not bytes" in said:
            return "open the file with 'wb'"
    if isinstance(error, UnicodeDecodeError):
        return "open the file with 'rb' (of a pickle: pickle.load(FILE, encoding='latin1'))"
    return None
