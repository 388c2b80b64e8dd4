"""What a shell reads to complete `seaway`, as static files where Debian's shells look for them.

Each file asks `seaway` itself for the words, so verbs and options are those of the version that is installed, and names
are the engine's.
"""

from __future__ import annotations

from pathlib import Path

from click.shell_completion import FishComplete, ShellComplete, ZshComplete
from seaway_cli.__main__ import seaway

_VARIABLE = "_SEAWAY_COMPLETE"
_BASH = r"""# Completes seaway, by asking it. The words are read from the line: a colon is part of
# an image's name, where bash begins another word and replaces what stands behind it alone.
_seaway_completion() {
    local line=${COMP_LINE:0:COMP_POINT} begun='' kind value
    local -a words
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    local current=${words[${#words[@]} - 1]}
    [[ $COMP_WORDBREAKS != *:* || $current != *:* ]] || begun=${current%:*}:
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        plain) COMPREPLY+=("${value#"$begun"}") ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _SEAWAY_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _seaway_completion seaway
"""
_PLACES: dict[str, type[ShellComplete] | str] = {
    "bash-completion/completions/seaway": _BASH,
    "zsh/vendor-completions/_seaway": ZshComplete,
    "fish/vendor_completions.d/seaway.fish": FishComplete,
}


def write(share: Path) -> None:
    """The files below `share`, which becomes /usr/share."""
    for place, kind in _PLACES.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            kind if isinstance(kind, str) else kind(seaway, {}, "seaway", _VARIABLE).source().strip() + "\n"
        )
