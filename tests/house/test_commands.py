"""No message, document or cure names a command or an option that does not exist."""

from typing import Any

import typer.main

from flows.cli import app
from tests.house.commands import OPTION, mentions, messages

ROOT_COMMAND: Any = typer.main.get_command(app)
# Texts about other programs, whose options are their own.
FOREIGN = (
    "docker",
    "pg_dump",
    "kubectl",
    "terraform",
    "prefect",
    "gcloud",
    "aws ",
    "bq ",
    "make ",
    "git ",
    "uv ",
    "pip",
)


def problem_of(words: list[str]) -> str:
    """What is wrong with the words after `trendbreak`, or nothing. After a whole command prose may follow."""
    command = ROOT_COMMAND
    place = 0
    while commands := getattr(command, "commands", None):
        if place == len(words) or words[place].startswith("-"):
            break
        if words[place] not in commands:
            return f"no command {words[place]!r}"
        command, place = commands[words[place]], place + 1
    known = options_of(command)
    return "; ".join(f"no option {word}" for word in words[place:] if word.startswith("-") and word not in known)


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def all_options() -> set[str]:
    commands, found = [ROOT_COMMAND], set()
    while commands:
        command = commands.pop()
        found |= options_of(command)
        commands += getattr(command, "commands", {}).values()
    return found


def test_every_command_that_is_named_exists_with_its_options() -> None:
    found = list(mentions())
    assert len(found) > 30, "the search finds nothing: it looks in the wrong place"
    wrong = [f"{place}: {problem}" for place, words in found if (problem := problem_of(words))]
    assert not wrong, "\n".join(wrong)


def test_every_option_that_a_message_names_exists() -> None:
    known = all_options()
    named = [
        (place, option, text)
        for place, text in messages()
        for option in OPTION.findall(text)
        if not any(word in text for word in FOREIGN)
    ]
    assert any(option == "--timeout" for _, option, _ in named), "the search finds nothing"
    wrong = [f"{place}: {option}: {text[:120]!r}" for place, option, text in named if option not in known]
    assert not wrong, "\n".join(wrong)


def test_the_search_sees_what_does_not_exist() -> None:
    assert problem_of(["rebuld"]) == "no command 'rebuld'"
    assert problem_of(["query", "--lisst"]) == "no option --lisst"
    assert problem_of(["incidents", "shw", "abc"]) == "no command 'shw'"
    assert problem_of(["incidents", "show", "abc"]) == ""
