"""Commands that take flags as Caffe's programs take them, and log as they do."""

from __future__ import annotations

import os

import click

from tinynet.cli.messages import say

_LEVEL_VARIABLE = "GLOG_minloglevel"  # spelt as glog spells it
_SEVERITIES = {"info": "I", "warning": "W", "error": "E"}
# glog's own flags, which scripts give; the log goes to stderr in any case
_OF_GLOG_SWITCHES = ("logtostderr", "alsologtostderr", "colorlogtostderr")
_OF_GLOG = (
    *("minloglevel", "stderrthreshold", "v", "vmodule"),
    *("log_dir", "max_log_size", "logbufsecs"),
)
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def log(severity: str, message: str) -> None:
    """Write a line of glog's form to stderr, unless GLOG_minloglevel leaves it out."""
    from tinynet.caffeformat.glog import glog_line

    if list(_SEVERITIES).index(severity) >= level():
        say(glog_line(message, _SEVERITIES[severity], stacklevel=2))


def level() -> int:
    """The least severity that is logged, from glog's own variable.

    Workers do not inherit it, since their parents need the whole log.
    """
    said = os.environ.get(_LEVEL_VARIABLE, "")
    return int(said) if said.isdecimal() else 0


class Command(click.Command):
    """Reads ``-flag value`` and ``--flag=value``; for a switch ``-flag``, ``-noflag``, ``-flag=0``.

    A ``-`` in a flag's name stands for ``_``.  A switch does not take the next word as its value:
    that would be the action in ``caffe -logtostderr train``.  Options are declared as ``--flag``, a
    switch with ``is_flag``, or as ``--flag/--no-flag`` where it matters that it was switched off.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._spelt_out(ctx, args))

    def _spelt_out(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {str(o.name): o for o in self.params if isinstance(o, click.Option)}
        switches = {name: option for name, option in options.items() if option.is_flag}
        flags: list[str] = []
        words: list[str] = []
        rest = iter(args)
        for word in rest:
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            positive = name[2:] if name[:2] == "no" and name[2:] in switches else name
            if word == "--":
                words.extend(rest)
            elif not word.startswith("-") or word == "-":
                words.append(word)
            elif name in ("help", "h"):
                flags.append("--help")
            elif positive in switches:
                if equals and value.lower() not in _TRUE + _FALSE:
                    ctx.fail(f"the flag -{positive} is true or false; got '{value}'")
                on = (not equals or value.lower() in _TRUE) == (positive == name)
                flags += [f"--{positive}"] if on else switches[positive].secondary_opts
            elif name in options or name in _OF_GLOG:
                taken = value if equals else next(rest, None)
                if taken is None:
                    ctx.fail(f"the flag -{name} is missing its value")
                flags += [f"--{name}={taken}"] if name in options else []
            elif name not in _OF_GLOG_SWITCHES and name[2:] not in _OF_GLOG_SWITCHES:
                shown = sorted(n for n, o in options.items() if not o.hidden and o.expose_value)
                known = ", ".join(f"-{flag}" for flag in shown)
                ctx.fail(f"no flag {word.partition('=')[0]}; the flags are {known}")
        return [*flags, "--", *words] if words else flags
