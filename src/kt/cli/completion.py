"""Completion of command lines by bash, zsh and fish.

``kt completion bash`` prints what to put into ``~/.bashrc``. The shells then call
``kt completion words WORD...`` with the words of the line so far, the last one possibly begun;
keys are asked for from the server that the line names, a hundred at most.
"""

from __future__ import annotations

import os
from typing import Final

from kt.cli import verbs
from kt.cli.commands import Call, arranged, verb, word
from kt.cli.faults import Usage
from kt.cli.target import DEFAULT, Target, is_file, is_url, open_target
from kt.errors import KTError

KEYED: Final = frozenset(
    (
        *("get", "set", "append", "replace", "cas", "incr", "rm", "remove", "exists", "ls", "scan"),
        *("getbulk", "removebulk", "list", "match", "table get"),
    )
)
"""Verbs whose first word is a key."""
KEYS: Final = 100
PATIENCE: Final = 1.0
"""Seconds that a shell may be kept waiting."""

SCRIPTS: Final = {
    "bash": """_kt() {
    # COMP_WORDS is split at colons, of which URLs and keys are full
    local line="${COMP_LINE:0:COMP_POINT}" begun i
    local -a words
    read -ra words <<< "$line"
    case "$line" in *[[:space:]]) words+=("");; esac
    while [ ${#words[@]} -gt 1 ] && [ "${words[0]}" != "$1" ]; do words=("${words[@]:1}"); done
    begun="${words[${#words[@]}-1]}"
    local IFS=$'\\n'
    COMPREPLY=($(kt completion words -- "${words[@]:1}" 2>/dev/null))
    for i in "${!COMPREPLY[@]}"; do
        case "$COMP_WORDBREAKS" in  # bash completes what is after the last of these signs
            *:*) COMPREPLY[i]="${COMPREPLY[i]#"${begun%"${begun##*[:=]}"}"}";;
        esac
        printf -v "COMPREPLY[i]" %q "${COMPREPLY[i]}"
    done
}
complete -o default -F _kt kt
""",
    "zsh": """#compdef kt
_kt() {
    local -a found
    found=("${(@f)$(kt completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -U -- "${found[@]}"; else _files; fi
}
compdef _kt kt
""",
    "fish": """function __kt_words
    kt completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c kt -f -a '(__kt_words)'
""",
}


def verb_names(begun: str, program: str = "") -> list[str]:
    """Names of verbs that begin so, in a line of `program` if one is named.

    Of a verb of two words, the first.
    """
    more = verbs.PROGRAMS.get(program, verbs.PROGRAMS)
    names = {name.split()[0] for name in (*verbs.VERBS, *verbs.ALIASES, *more)}
    return sorted(name for name in names if name.startswith(begun))


def option_names(name: str, begun: str, program: str = "") -> list[str]:
    """Options of a verb that begin so."""
    import click

    home = verbs.find(name, program)
    if home is None or name == "log":
        return []
    found = [
        each
        for parameter in verbs.load(home).params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for each in parameter.opts
    ]
    return [each for each in sorted(found) if each.startswith(begun)]


def key_names(target: Target, begun: str) -> list[str]:
    """Keys of a server that begin so."""
    from kt.cli.searching import keys_of

    quick = Target(target.url, target.kind, target.client.using(timeout=PATIENCE))
    found = keys_of(quick, os.fsencode(begun), None, KEYS)
    return [os.fsdecode(key) for key in found]


def completed(words: list[str], target: Target | None = None) -> list[str]:
    """What the last word of a line may become; `target` is asked where the line names none."""
    *before, begun = words or [""]
    url = None
    if before and (is_url(before[0]) or is_file(before[0])):
        url = before.pop(0)
    program = before.pop(0) if before and before[0] in verbs.PROGRAMS else ""
    if not before:
        return verb_names(begun, program)
    name = before.pop(0)
    if name == "help" and not before:
        return verb_names(begun)
    if name == "table":
        if not before:
            return [each[6:] for each in verbs.VERBS if each.startswith(f"table {begun}")]
        name = f"table {before.pop(0)}"
    if begun.startswith("-"):
        return option_names(name, begun, program)
    if name not in KEYED:
        return []
    return _keys(name, before, url, begun, target)


def _keys(
    name: str, before: list[str], url: str | None, begun: str, target: Target | None
) -> list[str]:

    line = arranged(verbs.load(verbs.find(name) or name), before)
    end = line.index("--")
    if "--url" in line[:end]:
        url = line[line.index("--url") + 1]
    if line[end + 1 :] and name not in ("getbulk", "rm", "remove", "removebulk"):
        return []
    try:
        if target is not None and url is None:
            return key_names(target, begun)
        opened = open_target(url or os.environ.get("KT_URL") or DEFAULT, read_only=True)
        try:
            return key_names(opened, begun)
        finally:
            opened.close()
    except KTError:
        return []  # a shell asks in vain rather than with an error


@verb(word("shell", shown="bash|zsh|fish"), word("words", many=True, required=False))
def do_completion(call: Call, shell: str, words: tuple[str, ...]) -> None:
    """Print what makes a command shell complete the lines of kt.

    bash: add `eval "$(kt completion bash)"` to ~/.bashrc; zsh: the same with zsh to ~/.zshrc, after
    compinit; fish: kt completion fish > ~/.config/fish/completions/kt.fish
    """
    if shell == "words":
        for each in completed(list(words)):
            call.out.line(os.fsencode(each))
    elif shell in SCRIPTS:
        print(SCRIPTS[shell], end="")
    else:
        raise Usage("completion is there for bash, zsh and fish")
