"""What a verb is made of: its parameters, the options that all verbs have, and how words are read.

A verb is a function with a `Call` first and its own parameters after it; `verb` makes a command of
it, whose help is the function's docstring. Every verb takes the same options to say which server is
meant and how results are shown, in our spelling and in that of ktremotemgr.

The words of a line are put in order before click sees them (`arranged`), for three reasons:

- What comes after the first word that is no option may begin with a dash, as in ktremotemgr:
  ``kt set key -5``. Options that the verb knows are taken there, too.
- The first word may be a URL, or a file where the verb takes no words, which then says what to work
  on.
- Bytes that are not UTF-8 must survive; they are lone surrogates in words, as Python gives them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Any, Final

import click

from kt.cli.faults import Usage
from kt.cli.output import Output
from kt.cli.target import DEFAULT, LIMIT, Kind, Target, is_file, is_url, open_target, server_url


class Session:
    """What outlives a verb: in the shell, the target.

    Attributes:
        url: what to work on where a line does not say; None for KT_URL, then for the usual port.
        target: what is open already, for the shell; verbs that name another one open that.
        interactive: a shell: results may be shown as tables.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url
        self.target: Target | None = None
        self.interactive = False


class Call:
    """One use of a verb: its common options, and what follows from them."""

    def __init__(self, session: Session, options: dict[str, Any], kind: Kind, patient: bool):
        self.session = session
        self.out = Output(options["json"], options["null"], options.get("px", False))
        self.out.escapes = session.interactive
        self._options = options
        self._kind: Kind = kind
        self._patient = patient
        self._target: Target | None = None
        self.read_only = False
        self.create = False

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take."""
        given: float | None = self._options["timeout"]
        if given is None:
            return None if self._patient else LIMIT
        return given or None

    @property
    def given_timeout(self) -> float | None:
        """Seconds that a call may take, as the line says; None where it does not."""
        given: float | None = self._options["timeout"]
        return given

    @property
    def url(self) -> str:
        """What to work on."""
        options = self._options
        if options["host"] is not None or options["port"] is not None:
            if options["url"] is not None:
                raise Usage("a server is named by its URL or by host and port, not by both")
            return server_url(self._kind, options["host"], options["port"])
        return options["url"] or self.session.url or os.environ.get("KT_URL") or DEFAULT

    def at_host(self, host: str) -> None:
        """Work on a Tokyo Tyrant server whose host came as a word, as in tcrmgr."""
        if self._options["url"] is not None:
            raise Usage(f"{host!r} is one word too many")
        if is_url(host) or is_file(host):
            self._options["url"] = host
        else:
            self._options["host"] = host
            self._kind = "tyrant"

    @property
    def is_told(self) -> bool:
        """Somebody has said what to work on, other than by host and port."""
        found = (self._options["url"], self.session.url, self.session.target)
        return found != (None, None, None) or bool(os.environ.get("KT_URL"))

    def named(self, url: str) -> None:
        """Work on what came as a word."""
        if self._options["url"] is not None:
            raise Usage(f"{url!r} is one word too many")
        self._options["url"] = url

    @property
    def names_db(self) -> bool:
        """A database is named."""
        return self._options["db"] is not None

    def without_host(self, words: Sequence[str]) -> list[str]:
        """Take the host from the words of a line of tcrmgr, unless it is known already."""
        options = self._options
        rest = list(words)
        known = (self.session.url, options["url"], options["host"], self.session.target)
        if known == (None, None, None, None):
            if not rest:
                raise Usage("the first word is the host")
            self.at_host(rest.pop(0))
        return rest

    @property
    def target(self) -> Target:
        """What to work on, opened when it is first asked for."""
        if self._target is None:
            options = self._options
            named = (options["url"], options["host"], options["port"], options["db"])
            if self.session.target is not None and named == (None, None, None, None):
                return self.session.target
            self._target = open_target(
                self.url,
                self.timeout,
                options["db"],
                read_only=self.read_only,
                create=self.create,
            )
            self._wait()
        return self._target

    def finish(self) -> None:
        """Do what comes after the verb's work."""
        name = self._options.get("ssname")
        if name is not None:
            self.target.tycoon.signal(os.fsencode(name), broadcast=self._options["ssbrd"])

    def close(self) -> None:
        """Close what the verb has opened."""
        if self._target is not None:
            self._target.close()
            self._target = None

    def _wait(self) -> None:
        name = self._options.get("swname")
        if name is None:
            return
        from kt.cli.faults import No

        limit = self._options["swtime"] or None
        if not self.target.tycoon.wait(os.fsencode(name), limit):
            raise No("the signal did not come in time")


def option(*names: str, **settings: Any) -> click.Option:
    """Return an option: ``option("-max", "--limit", type=int, help="...")``."""
    return click.Option(names, **settings)


def flag(*names: str, **settings: Any) -> click.Option:
    """Return an option without a value."""
    return click.Option(names, is_flag=True, **settings)


def _shown(name: str, required: bool, shown: str | None) -> str:
    return shown or (name.upper() if required else f"[{name.upper()}]")


def data(
    name: str, *, many: bool = False, required: bool = True, shown: str | None = None
) -> click.Argument:
    """Return words as bytes: keys and values."""
    return click.Argument(
        [name],
        type=os.fsencode,
        nargs=-1 if many else 1,
        required=required,
        metavar=_shown(name, required, shown),
    )


def word(
    name: str, *, many: bool = False, required: bool = True, shown: str | None = None
) -> click.Argument:
    """Return words as text."""
    return click.Argument(
        [name], nargs=-1 if many else 1, required=required, metavar=_shown(name, required, shown)
    )


def _common() -> list[click.Parameter]:
    return [
        option("url", "-u", "-url", "--url", help="Server or file (or KT_URL, or the first word)."),
        option("host", "-host", "--host", help="Host of the server."),
        option("port", "-port", "--port", type=int, help="Port of the server."),
        option("db", "-db", "--db", help="Index or name of the database."),
        option(
            "timeout", "-tout", "--timeout", type=float, help="Seconds a call may take; 0: any."
        ),
        flag("json", "--json", help="One JSON object in each line."),
        flag("null", "-0", "--null", help="End lines with NUL instead of a newline."),
        option("swname", "-swname", hidden=True),
        option("swtime", "-swtime", type=float, hidden=True),
        option("ssname", "-ssname", hidden=True),
        flag("ssbrd", "-ssbrd", hidden=True),
    ]


HELP: Final = ("-h", "--help")
HEX_IN: Final = ("-sx", "--hex")
HEX_OUT: Final = ("-px", "--hex-output")


def hex_in() -> click.Option:
    """Return the option that makes keys and values be given in hexadecimal."""
    return flag("sx", *HEX_IN, help="Keys and values are given in hexadecimal.")


def hex_out() -> click.Option:
    """Return the option that shows keys and values in hexadecimal."""
    return flag("px", *HEX_OUT, help="Show keys and values in hexadecimal.")


def expire() -> click.Option:
    """Return the option for an expiry."""
    return option("xt", "-xt", "--expire", type=int, help="Seconds until the record expires.")


def since() -> click.Option:
    """Return the option for where in a log to begin; `stamp` reads it."""
    return option("ts", "-ts", help="From when on: ns (Tokyo Tyrant: microseconds), or now.")


def stamp(ts: str | None, unit: int) -> int:
    """Return the stamp that `ts` means, in this many nanoseconds each; without one, 0."""
    if ts is None:
        return 0
    if ts in ("now", "-", "-1"):  # in the originals' words
        return time_ns() // unit
    if not ts.isdecimal():
        raise Usage(f"-ts is a number, or now, not {ts!r}")
    return int(ts)


def unhex(given: bytes, sx: bool) -> bytes:
    """Return what a word means."""
    if not sx:
        return given
    try:
        return bytes.fromhex(given.decode())
    except ValueError:
        raise Usage(f"{given!r} is not hexadecimal") from None


COMMON: Final = tuple(str(parameter.name) for parameter in _common())

Function = Callable[..., None]


def verb(
    *parameters: click.Parameter, kind: Kind = "tycoon", patient: bool = False
) -> Callable[[Function], click.Command]:
    """Make a command of a function.

    Args:
        parameters: its own.
        kind: which server is meant where only host and port are given.
        patient: its calls may take any time, unless a timeout is given.
    """

    def made(function: Function) -> click.Command:
        def run(**given: Any) -> None:
            session = click.get_current_context().obj
            call = Call(session, given, kind, patient)
            own = {name: value for name, value in given.items() if name not in COMMON}
            if own.get("px") is not None:
                own.pop("px")
            try:
                function(call, **own)
                call.finish()
            finally:
                call.close()

        return click.Command(
            function.__name__.removeprefix("do_"),
            callback=run,
            params=[*parameters, *_common()],
            help=function.__doc__,
            context_settings={"help_option_names": list(HELP), "terminal_width": 96},
        )

    return made


def arranged(command: click.Command, words: Sequence[str]) -> list[str]:
    """Return the words of a line with its options first; see the module's docstring."""
    values = {
        name: 0 if parameter.is_flag else parameter.nargs
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    options: list[str] = []
    others: list[str] = []
    bare = True  # the first of the others did not come after --
    rest = list(words)
    while rest:
        each = rest.pop(0)
        if each == "--":
            bare = bool(others)
            others += rest
            rest = []
        elif each in values:
            options.append(each)
            options += rest[: values[each]]
            del rest[: values[each]]
        elif each in HELP or (each.startswith("-") and (not others or _is_option(each, values))):
            options.append(each)
        else:
            others.append(each)
    named = {"-u", "--url"} & {each.partition("=")[0] for each in options}
    if others and bare and not named and (is_url(others[0]) or _only_file(command, others)):
        options += ["--url", others.pop(0)]
    return [*options, "--", *others]


def _only_file(command: click.Command, others: list[str]) -> bool:
    """Tell whether words are a file to work on: that of a verb that takes no words of its own."""
    has_words = any(isinstance(parameter, click.Argument) for parameter in command.params)
    return len(others) == 1 and is_file(others[0]) and not has_words


def _is_option(each: str, values: dict[str, int]) -> bool:
    return each.startswith("--") and each.partition("=")[0] in values
